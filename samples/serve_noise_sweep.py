"""How much noise can the digits take? A sweep against a server, with the client of Triton.

The network is exported once, as a bundle: its strength of noise is a number that each request
brings along. The server speaks the Open Inference Protocol; any client of it would do.

Run it:                              python samples/serve_noise_sweep.py
Or look at it from the command line: graphctx contexts samples/serve_noise_sweep.py
                                     graphctx serve digits.bundle
Needs the serve extra, and tritonclient[http,grpc].
"""

import contextlib
import re
import subprocess
import sys

import numpy as np
import rich
import tritonclient.grpc
import tritonclient.http
from rich.table import Table

import graphctx as gx
from graphctx.demo import IMAGES, accuracy, fitted, load_digits

SCALES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
SEEDS = range(5)


def model():
    """The fitted network; the command line calls this."""
    return fitted(load_digits())


input_specs = IMAGES


@contextlib.contextmanager
def serving(bundle):
    """`graphctx serve`, on ports that are free; yields where REST and gRPC are."""
    command = [sys.executable, "-m", "graphctx", "serve", bundle]
    with (
        open("serve.log", "w") as log,
        subprocess.Popen(
            [*command, "--http-port", "0", "--grpc-port", "0"],
            stdout=subprocess.PIPE, stderr=log, text=True,
        ) as server,
    ):  # fmt: skip
        try:
            line = server.stdout.readline()  # printed once it listens
            yield re.search(r"http://([\d.:]+)", line)[1], re.search(r"grpc://([\d.:]+)", line)[1]
        finally:
            server.terminate()  # SIGTERM: it answers what it has taken


def ask(module, client, images, **context):
    """The scores of images, under a context."""
    tensor = module.InferInput("images", images.shape, "FP32")
    tensor.set_data_from_numpy(images)
    return client.infer("digits", [tensor], parameters=context).as_numpy("output")


def main():
    digits = load_digits()
    images, labels = digits.test_images, digits.test_labels
    graph = gx.trace(fitted(digits), IMAGES)
    print(gx.export(graph, "digits.bundle").title)

    with serving("digits.bundle") as (http, grpc):
        client = tritonclient.http.InferenceServerClient(http)
        context = client.get_model_metadata("digits")["context"]
        print("it takes", ", ".join(argument["name"] for argument in context["arguments"]))

        table = Table("noise_scale", "digits read right", "least", "most")
        for scale in SCALES:
            right = [
                accuracy(ask(tritonclient.http, client, images, noise_scale=scale, seed=s), labels)
                for s in SEEDS
            ]
            table.add_row(f"{scale}", *(f"{f(right):.1%}" for f in (np.mean, min, max)))
        rich.print(table)

        # One seed, one answer: over both transports, and from the program in NumPy.
        noisy = {"noise_scale": 0.2, "seed": 3}
        over_http = ask(tritonclient.http, client, images, **noisy)
        with tritonclient.grpc.InferenceServerClient(grpc) as other:
            over_grpc = ask(tritonclient.grpc, other, images, **noisy)
        program = gx.compile(graph, noise_scale=0.2)
        print(f"REST and gRPC agree: {np.array_equal(over_http, over_grpc)}")
        print(f"and with NumPy: {np.allclose(over_http, program(images, seed=3), atol=1e-4)}")

        try:  # never a default in the place of what was meant
            ask(tritonclient.http, client, images[:1], noise_scal=0.2)
        except Exception as error:
            print(f"a misspelt name: {str(error).split(' (')[0]}")
        client.close()


if __name__ == "__main__":
    main()
