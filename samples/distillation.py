"""A teacher and its student in one model; each role is exported with its own weights alone.

`knowledge_distillation_role` says what the model returns. Both networks share the input and an
embedding. The student never sees a label: it matches the teacher's logits, by their mean squared
difference (Ba and Caruana, "Do deep nets really need to be deep?", NIPS 2014).

Run it:                              python samples/distillation.py
Or look at it from the command line: graphctx trace samples/distillation.py
"""

from typing import Literal

import numpy as np
import rich
from rich.table import Table

import graphctx as gx
from graphctx import Context, Layer, nn, ops
from graphctx.demo import accuracy, load_digits, ridge


def hidden(units):
    return nn.Dense(units, activation="relu", kernel_initializer="he_normal")


class Distillation(Layer):
    def __init__(self):
        self.embedding = hidden(128)
        self.teacher = nn.Sequential([hidden(256), hidden(768), nn.Dense(10)])
        self.student = nn.Dense(10)

    def call(
        self,
        pixels,
        teacher_logits=None,
        *,
        knowledge_distillation_role: Context[Literal["teacher_logits", "student_match"]],
    ):
        embedded = self.embedding(pixels)
        if knowledge_distillation_role == "teacher_logits":
            return self.teacher(embedded)
        logits = self.student(embedded)
        if teacher_logits is None:  # nothing to match: this is how the student is served
            return logits
        return {"logits": logits, "loss": ops.mean((logits - teacher_logits) ** 2)}


model = Distillation()
PIXELS = gx.TensorSpec(("batch", 64), name="pixels")
LOGITS = gx.TensorSpec(("batch", 10), name="teacher_logits")
input_specs = (PIXELS, LOGITS)


def teach(pixels, labels):
    """Random layers below; the teacher's readout solves least squares for the labels."""
    *below, readout = model.teacher.layers
    kernel, bias = ridge(nn.Sequential(below)(model.embedding(pixels)), labels, penalty=0.01)
    readout.kernel.assign(kernel)
    readout.bias.assign(bias)


def match(pixels, logits):
    """Make the loss of the student as small as can be: it is least squares, too."""
    embedded = np.c_[model.embedding(pixels), np.ones(len(pixels))]
    solution = np.linalg.lstsq(embedded, logits)[0]
    model.student.kernel.assign(solution[:-1])
    model.student.bias.assign(solution[-1])


def main():
    digits = load_digits()
    seen, pixels = (images.reshape(-1, 64) for images in (digits.train_images, digits.test_images))
    with gx.seed(0):  # one call with logits to match, one without; both build the same weights
        alone, matching = gx.trace(model, PIXELS), gx.trace(model, PIXELS, LOGITS)

    teach(seen, digits.train_labels)
    teacher = gx.compile(alone, knowledge_distillation_role="teacher_logits")
    logits = teacher(seen)
    untaught = gx.compile(matching, knowledge_distillation_role="student_match")
    match(seen, logits)
    taught = gx.compile(matching, knowledge_distillation_role="student_match")
    losses = [float(program(seen, logits)["loss"]) for program in (untaught, taught)]
    print("distillation loss: {:.3f} before, {:.3f} after".format(*losses))

    student = gx.compile(alone, knowledge_distillation_role="student_match")
    table = Table("ONNX file", "has weights of", "parameters", "returns", "reads right")
    for name, program in {"teacher": teacher, "student": student, "matching": taught}.items():
        exported = gx.export(program, f"{name}.onnx")
        parts = dict.fromkeys(weight.name.split("/")[1] for weight in program.graph.weights)
        parameters = f"{program.summary().parameters:,}"
        right = "" if program is taught else f"{accuracy(program(pixels), digits.test_labels):.1%}"
        row = [exported.path.name, ", ".join(parts), parameters, ", ".join(program.outputs), right]
        table.add_row(*row)
    rich.print(table)


if __name__ == "__main__":
    main()
