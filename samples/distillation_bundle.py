"""A teacher and its student in one bundle, with the encoder that they share in it once.

The model is that of distillation.py, which teaches both. Which of them answers is the context
argument `knowledge_distillation_role`; it has no default, so that nobody gets one by mistake.

Run it:                              python samples/distillation_bundle.py
Leave the teacher at home:           graphctx bundle prune distillation.bundle \\
                                         --drop knowledge_distillation_role=teacher_logits
"""

import numpy as np
import rich
from distillation import PIXELS, match, model, teach
from graphctx_onnx import Bundle
from graphctx_onnx.runtime import BundleError
from rich.table import Table

import graphctx as gx
from graphctx.demo import accuracy, load_digits

ROLE = "knowledge_distillation_role"
ROLES = ("teacher_logits", "student_match")


def main():
    digits = load_digits()
    seen, pixels = (images.reshape(-1, 64) for images in (digits.train_images, digits.test_images))
    with gx.seed(0):
        graph = gx.trace(model, PIXELS)
    teach(seen, digits.train_labels)
    match(seen, gx.compile(graph, {ROLE: "teacher_logits"})(seen))

    exported = gx.export(graph, "distillation.bundle")
    print(exported.title)
    bundle = Bundle.load("distillation.bundle")
    table = Table("role", "program", "has weights of", "weights", "reads right")
    total = 0
    for role in ROLES:
        program = gx.compile(graph, {ROLE: role})
        size = sum(weight.data.numpy().nbytes for weight in program.graph.weights)
        total += size
        parts = dict.fromkeys(weight.name.split("/")[1] for weight in program.graph.weights)
        [logits] = bundle.run({"pixels": pixels}, context={ROLE: role}).values()
        assert np.allclose(logits, program(pixels), atol=1e-4)
        row = [role, bundle.resolve({ROLE: role})[0], ", ".join(parts)]
        right = f"{accuracy(logits, digits.test_labels):.1%}"
        table.add_row(*row, f"{size / 1024:.0f} KiB", right)
    rich.print(table)
    stored = sum(weight.numpy().nbytes for weight in model.weights.values())
    print(f"one file each would hold {total / 1024:.0f} KiB of weights, the bundle has", end=" ")
    print(f"{stored / 1024:.0f} KiB: the encoder once")

    try:
        bundle.run({"pixels": pixels})
    except BundleError as error:  # nobody gets the student, or the teacher, by mistake
        print(error)


if __name__ == "__main__":
    main()
