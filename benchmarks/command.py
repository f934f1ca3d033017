"""The options and the course that the benchmarks have in common."""

import argparse
import contextlib
import subprocess
from pathlib import Path

from benchmarks import table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "guides" / "speed.md"


def commit():
    """The commit, with a "+" where the code has changed since."""
    git = ["git", "--no-optional-locks", "-C", str(ROOT)]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        head = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"])
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "*.py"])
        return head.decode().strip() + "+" * changed.returncode
    return ""


def options(doc, results, steps=3, budget=120):
    """Parser of the options of all of them.

    Args:
        doc: The module's docstring.
        results: Name of the csv file.
        steps: Default number of steps in a turn.
        budget: Default number of seconds for each process.
    """
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    add = parser.add_argument
    add("--backends", nargs="+", default=["tensorflow", "jax", "torch"])
    add("--steps", type=int, default=steps, help="steps in a turn")
    add("--rounds", type=int, default=3, help="turns of each process")
    add("--budget", type=float, default=budget, help="seconds for each process")
    add("--out", default=str(ROOT / "benchmarks" / results))
    add("--page", help="write the table here; with --render: docs/guides/speed.md")
    add("--render", action="store_true", help="measure nothing, only write the table")
    return parser


def page(args, markers):
    """Path of the page that gets the table, if any; it must have the markers."""
    path = args.page or (args.render and str(PAGE))
    if path:
        table.parts(path, markers)
    return path


def run(args, measure, key, lines_of, markers):
    """Measure each backend, and write the table.

    Args:
        args: From `options`.
        measure: From `args` and a backend to its rows.
        key: Names of the columns that tell rows apart.
        lines_of: From all rows to the lines of the table.
        markers: Lines of the page between which the table belongs.
    """
    path = page(args, markers)
    if not args.render:
        args.commit = commit()
        for backend in args.backends:
            table.save(args.out, list(measure(args, backend)), key)
    if path:
        table.put(path, markers, lines_of(table.results(args.out)))
