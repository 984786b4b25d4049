"""Handwritten digits: one network, fitted once, run and exported under several contexts.

The network and its closed-form fit are in graphctx/demo.py; `graphctx demo` shows the whole way
with tables. This page does the same in a few lines.

Run it:                              python samples/digits.py
Or look at it from the command line: graphctx summary samples/digits.py
                                     graphctx export samples/digits.py -o digits.onnx
"""

import numpy as np

import graphctx as gx
from graphctx.demo import IMAGES, accuracy, fitted, load_digits


def model():
    """The fitted network; the command line calls this."""
    return fitted(load_digits())


input_specs = IMAGES


def main():
    digits = load_digits()
    net = fitted(digits)
    images, labels = digits.test_images, digits.test_labels

    # One trace holds what training, dropout and noise do.
    graph = gx.trace(net, IMAGES)
    print(graph.contexts)

    # Specialized for inference, every BatchNorm is folded into the convolution before it.
    clean = gx.compile(graph)
    print(f"\nclean images:           {accuracy(clean(images), labels):.1%}")
    noisy = gx.compile(graph, noise_scale=0.2)
    print(f"with noise:             {accuracy(noisy(images, seed=0), labels):.1%}")

    # With dropout at work every run draws another network; their mean is better than each.
    dropping = gx.compile(graph, training=True, intensity="aggressive")
    draws = [dropping(images, seed=seed) for seed in range(8)]
    print(f"aggressive dropout:     {accuracy(draws[0], labels):.1%}")
    print(f"the mean of 8 of them:  {accuracy(np.mean(draws, axis=0), labels):.1%}")

    # What `ConvBlock` hands to its dropout, it never mentions itself.
    print(f"\n{gx.explain(graph, 'digit_net/features/conv_block/drop', 'intensity')}")

    exported = gx.export(clean, "digits.onnx")
    print(f"\n{exported.path}: {exported.nodes} nodes, equal in onnxruntime to "
          f"{exported.report.largest:.0e}")  # fmt: skip


if __name__ == "__main__":
    main()
