"""Bring figures from another machine home: `python -m benchmarks.gpu.merge RUNS`.

Appends the lines of a file that `zoo.reproduce` wrote elsewhere to
`zoo/results/runs.csv`, all at once, without those that are in it already. Then
`python -m zoo.report`.
"""

import argparse
import sys
from pathlib import Path

from zoo import report, reproduce


def merge(source, target):
    """Append the lines of `source` that `target` does not have.

    Args:
        source: A file of runs.
        target: Another one, which is made if it is not there.

    Returns:
        How many lines were new.

    Raises:
        ValueError: If one of them is no file of runs.
        FileNotFoundError: If there is no `source`.
    """
    if not source.exists():
        raise FileNotFoundError(f"there is no {source}: the run has no figures yet.")
    reproduce.check_runs(source)
    known = report.read(target)
    new = [line for line in report.read(source) if line not in known]
    if new:
        reproduce.append(target, new)
    return len(new)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.merge")
    parser.add_argument("source", type=Path, help="runs.csv of the other machine")
    parser.add_argument(
        "--runs", type=Path, default=reproduce.RUNS, help="the file here"
    )
    args = parser.parse_args(argv)
    try:
        print(f"{merge(args.source, args.runs)} new lines in {args.runs}")
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
