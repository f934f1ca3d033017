"""Merge figures of another machine: `python -m benchmarks.gpu.merge RUNS [RUNS ...]`.

Appends the lines of files that `zoo.reproduce` wrote elsewhere to
`zoo/results/runs.csv`, without the lines that it has already. Run
`python -m zoo.report` afterwards.
"""

import argparse
import sys
from pathlib import Path

from zoo import report
from zoo.experiments import records


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
    records.check_runs(source)
    known = report.read(target)
    new = [line for line in report.read(source) if line not in known]
    if new:
        records.append(target, new)
    return len(new)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.merge")
    parser.add_argument(
        "sources", nargs="+", type=Path, help="files runs.csv of the other machine"
    )
    parser.add_argument("--runs", type=Path, default=records.RUNS, help="the file here")
    args = parser.parse_args(argv)
    try:
        new = sum(merge(source, args.runs) for source in args.sources)
        print(f"{new} new lines in {args.runs}")
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
