"""The server of bundles, unchanged, as a deployment of Ray Serve: replicas on several machines.

`graphctx_onnx.server.app` is an ASGI application, and Ray Serve runs those. Each replica loads the
bundle, from a path that it can read; Ray hands the requests out. The requests are those of
`graphctx serve`: clients, context arguments, errors and metrics stay as they are. There is no gRPC.

Install what it needs:          pip install '.[serve]' 'ray[serve]'
Make the bundle of a model:     graphctx export samples/first_model.py -o first.bundle
Run it, until Ctrl-C:           python samples/serve_with_ray.py first.bundle --replicas 2
Ask it:                         curl localhost:8000/v2/models/first
"""

import argparse
import os
from pathlib import Path

from ray import serve


def deployment(bundle, replicas=1):
    """The application of Ray Serve for a bundle."""
    path = Path(os.path.abspath(bundle))

    def application():  # called in each replica: threads and sessions do not travel
        from graphctx_onnx.server import app

        return app(path)

    @serve.deployment(num_replicas=replicas, max_ongoing_requests=256)
    @serve.ingress(application)
    class Server:
        pass

    return Server.bind()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args()
    serve.start(http_options={"host": "127.0.0.1", "port": given.port})
    serve.run(deployment(given.bundle, given.replicas), blocking=True)


if __name__ == "__main__":
    main()
