"""One bundle for training with two kinds of dropout, for inference, and for Monte Carlo dropout.

The model is that of dropout_intensity.py. Its twelve assignments are three programs, and a bundle
has each of them once, and each weight once. A machine that runs it needs NumPy and onnxruntime; it
asks for a context by name, and never finds itself with another one.

Run it:                              python samples/dropout_bundle.py
Look at the bundle, or serve it:     graphctx bundle ls dropout.bundle
                                     graphctx serve dropout.bundle
"""

import numpy as np
import rich
from dropout_intensity import fit
from graphctx_onnx import Bundle
from graphctx_onnx.runtime import BundleError
from rich.table import Table

import graphctx as gx
from graphctx.demo import load_digits

CONTEXTS = {
    "inference": {},
    "Monte Carlo dropout": {"monte_carlo": True},
    "training": {"training": True},
    "training, aggressive": {"training": True, "dropout_intensity_mode": "aggressive"},
}
RUNS = 30


def main():
    digits = load_digits()
    pixels, labels = digits.test_images.reshape(-1, 64), digits.test_labels
    graph = fit(digits.train_images.reshape(-1, 64), digits.train_labels)
    exported = gx.export(graph, "dropout.bundle")  # all contexts, each program verified
    single = gx.export(gx.compile(graph), "inference.onnx").size
    print(f"{exported.title}; {exported.size / single:.2f} times as large as the one for inference")

    bundle = Bundle.load("dropout.bundle")
    for found in bundle.classes:
        print(f"  {found.id}: {found.condition}")
    table = Table("context", "program", "one run reads right")
    for what, context in CONTEXTS.items():
        program, _ = bundle.resolve(context)
        [logits] = bundle.run({"pixels": pixels}, **context, seed=0).values()
        right = (logits.argmax(axis=-1) == labels).mean()
        table.add_row(what, program, f"{right:.1%}")
    rich.print(table)

    votes = np.zeros_like(logits)
    for seed in range(RUNS):
        [logits] = bundle.run({"pixels": pixels}, monte_carlo=True, seed=seed).values()
        votes[np.arange(len(votes)), logits.argmax(axis=-1)] += 1
    sure = votes.max(axis=-1) >= 0.9 * RUNS
    right = votes.argmax(axis=-1) == labels
    print(f"{RUNS} runs with Monte Carlo dropout vote: {right.mean():.1%} of the digits are right;")
    print(f"  where nine of ten agree ({sure.mean():.0%} of the images): {right[sure].mean():.1%}")

    try:
        bundle.run({"pixels": pixels}, monte_carlo="yes")
    except BundleError as error:  # what is asked for wrongly is never a default
        print(error)


if __name__ == "__main__":
    main()
