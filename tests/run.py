"""All checks of the project: `python tests/run.py [tensorflow] [jax] [torch]`.

Lint, types, the site of the documentation, and the test suite once for each backend,
each in processes of its own, side by side.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parent.parent
BACKENDS = ("tensorflow", "torch", "jax")  # the slowest first


class Check:
    """A command that runs beside the others; its output is shown when it has ended.

    With `parts`, lists of arguments, it runs once for each of them, in turn.
    """

    def __init__(self, name, *command, parts=((),), nice=0, **environment):
        self.name, self.started = name, time.monotonic()
        # Windows has no niceness: all checks then have the same priority.
        options = {"preexec_fn": partial(os.nice, nice)} if hasattr(os, "nice") else {}
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        commands = [[sys.executable, "-m", *command, *part] for part in parts]
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHAIN, json.dumps(commands)],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=self.output,
            stderr=subprocess.STDOUT,
            **options,
        )

    def good(self):
        code = self.process.wait()
        self.output.seek(0)
        print(f"== {self.name}\n{self.output.read()}", end="")
        print(f"== {self.name}: {'ok' if code == 0 else 'FAILED'}, ", end="")
        print(f"{time.monotonic() - self.started:.0f} s", flush=True)
        return code == 0


def main():
    backends = sys.argv[1:] or BACKENDS
    checks = [
        Check("lint", "ruff", "check", "."),
        Check("format", "ruff", "format", "--check", "."),
        Check("types", "mypy"),
        Check("results", "zoo.report", "--check"),
        Check("documentation", "mkdocs", "build", "-q", "--strict", **NO_NOTICE),
    ]
    checks += [
        # On fewer cores than backends, the first has a core of its own and is not the
        # last to end. Threads of a second BLAS waiting for work cost more than they
        # give here.
        Check(
            b,
            *("pytest", "-q"),
            parts=PARTS,
            nice=2 * n,
            KERAS_BACKEND=b,
            OMP_NUM_THREADS="1",
            **QUIET,
        )
        for n, b in enumerate(backends)
    ]
    sys.exit(0 if all([check.good() for check in checks]) else 1)


# One process for each: a backend keeps the memory of all that it has compiled.
ZOO = sorted(str(path) for path in (ROOT / "tests" / "zoo").glob("test_*.py"))
PARTS = (["--ignore=tests/zoo"], ZOO[: len(ZOO) // 2], ZOO[len(ZOO) // 2 :])
CHAIN = """
import json, subprocess, sys
codes = [subprocess.call(command) for command in json.loads(sys.argv[1])]
sys.exit(1 if any(codes) else 0)
"""
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
NO_NOTICE = {"NO_MKDOCS_2_WARNING": "1"}  # that another program follows MkDocs

if __name__ == "__main__":
    main()
