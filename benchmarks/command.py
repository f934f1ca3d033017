"""Command line and main loop of the benchmarks."""

import argparse
import contextlib
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks import table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "guides" / "speed.md"


def commit() -> str:
    """Return the commit of the code, with a `+` if the code has changed since."""
    git = ["git", "--no-optional-locks", "-C", str(ROOT)]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        head = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"])
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "*.py"])
        return head.decode().strip() + "+" * changed.returncode
    return ""


def options(
    doc: str, results: str, steps: int = 3, budget: float = 120
) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have.

    Args:
        doc: Docstring of the benchmark.
        results: Name of the CSV file.
        steps: Default number of steps in a turn.
        budget: Default time limit of each process in seconds.
    """
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    add = parser.add_argument
    backends = ["tensorflow", "jax", "torch"]
    add("--backends", nargs="+", default=backends, help="backends; default: all")
    add("--steps", type=int, default=steps, help=f"steps in a turn; default: {steps}")
    add("--rounds", type=int, default=3, help="turns of each process; default: 3")
    budgets = f"time limit of each process in seconds; default: {budget}"
    add("--budget", type=float, default=budget, help=budgets)
    place(parser, results)
    return parser


def place(parser: argparse.ArgumentParser, results: str) -> None:
    """Add the options that say where the results go.

    Args:
        parser: The parser.
        results: Name of the CSV file.
    """
    add = parser.add_argument
    out = f"CSV file of the results; default: benchmarks/{results}"
    add("--out", default=str(ROOT / "benchmarks" / results), help=out)
    where = "page to write the table into; with --render: docs/guides/speed.md"
    add("--page", help=where)
    add("--render", action="store_true", help="only write the table, do not measure")


def page(args: argparse.Namespace, markers: tuple[str, str]) -> str | None:
    """Return the page that gets the table, or `None`.

    Exit with an error if this page does not contain the markers.
    """
    path = args.page or (args.render and str(PAGE))
    if path:
        table.parts(path, markers)
    return path


def run(
    args: argparse.Namespace,
    measure: Callable[[argparse.Namespace, str], Iterable[dict]],
    subjects: Iterable[str],
    key: Sequence[str],
    lines_of: Callable[[list[dict]], list[str]],
    markers: tuple[str, str],
) -> None:
    """Measure each subject, and write the table.

    Args:
        args: The parsed command line.
        measure: Function of `args` and a subject that returns rows of results.
        subjects: Names of what is measured, such as the backends.
        key: Names of the columns that identify a row.
        lines_of: Function of all rows that returns the lines of the table.
        markers: Lines of the page between which the table is written.
    """
    path = page(args, markers)
    if not args.render:
        args.commit = commit()
        for subject in subjects:
            for row in measure(args, subject):
                table.save(args.out, [row], key)
    if path:
        table.put(path, markers, lines_of(table.results(args.out)))
