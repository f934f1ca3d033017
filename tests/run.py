"""All checks of the project: `python tests/run.py [tensorflow] [jax] [torch]`.

Lint, then the test suite once for each backend, each in a process of its own.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
BACKENDS = ("tensorflow", "torch", "jax")


def check(name, *command, **environment):
    print(f"== {name}", flush=True)
    started = time.monotonic()
    code = subprocess.call(
        [sys.executable, "-m", *command], cwd=ROOT, env={**os.environ, **environment}
    )
    print(f"== {name}: {'ok' if code == 0 else 'FAILED'}, ", end="")
    print(f"{time.monotonic() - started:.0f} s", flush=True)
    return code == 0


def main():
    backends = sys.argv[1:] or BACKENDS
    good = [
        check("lint", "ruff", "check", "."),
        check("format", "ruff", "format", "--check", "."),
        check("results", "zoo.report", "--check"),
    ]
    good += [
        # Threads of a second BLAS waiting for work cost more than they give here.
        check(b, "pytest", "-q", KERAS_BACKEND=b, OMP_NUM_THREADS="1", **QUIET)
        for b in backends
    ]
    sys.exit(0 if all(good) else 1)


QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}

if __name__ == "__main__":
    main()
