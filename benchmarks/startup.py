"""How long `import graphctx` and `graphctx --help` take, as whole processes.

Bytecode is cached, as it is in an installed package.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _process(command: list[str], runs: int = 9) -> float:
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=_ENVIRONMENT)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])  # the first one fills the caches


def run() -> list[dict[str, Any]]:
    """Rows: the import less an empty interpreter, with what it loads; the help."""
    empty = _process([sys.executable, "-c", "pass"])
    numpy = _process([sys.executable, "-c", "import numpy"]) - empty
    ours = _process([sys.executable, "-c", "import graphctx"]) - empty
    check = "import graphctx, sys; sys.exit('onnx' in sys.modules or 'networkx' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
    script = str(Path(sys.executable).parent / "graphctx")
    help_text = _process([script, "--help"])
    return [
        {
            "what": "import graphctx (without onnx, without networkx)", "ours": f"{ours:.3f} s",
            "peer": f"limit 0.25 s (numpy alone {numpy:.3f} s)", "ratio": ours / 0.25,
            "target": 1.0,
        },
        {
            "what": "graphctx --help", "ours": f"{help_text:.3f} s", "peer": "limit 0.4 s",
            "ratio": help_text / 0.4, "target": 1.0,
        },
    ]  # fmt: skip
