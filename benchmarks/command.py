"""The options and the course that several benchmarks have in common."""

import argparse

from benchmarks import table
from benchmarks.step_time import ROOT, commit


def options(doc, results):
    """Parser of the options of all of them.

    Args:
        doc: The module's docstring.
        results: Name of the csv file.
    """
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    add = parser.add_argument
    add("--backends", nargs="+", default=["tensorflow", "jax", "torch"])
    add("--steps", type=int, default=3, help="steps in a turn")
    add("--rounds", type=int, default=3, help="turns of each process")
    add("--budget", type=float, default=120, help="seconds for each process")
    add("--out", default=str(ROOT / "benchmarks" / results))
    add("--readme", help="write the table here (with --render: README.md)")
    add("--render", action="store_true", help="measure nothing, only write the table")
    return parser


def run(args, measure, key, lines_of, markers):
    """Measure each backend, and write the table.

    Args:
        args: From `options`.
        measure: From `args` and a backend to its rows.
        key: Names of the columns that tell rows apart.
        lines_of: From all rows to the lines of the table.
        markers: Lines of the README between which the table belongs.
    """
    readme = args.readme or (args.render and str(ROOT / "README.md"))
    if readme:
        table.parts(readme, markers)  # rather than after an hour
    if not args.render:
        args.commit = commit()
        for backend in args.backends:
            table.save(args.out, list(measure(args, backend)), key)
    if readme:
        table.put(readme, markers, lines_of(table.results(args.out)))
