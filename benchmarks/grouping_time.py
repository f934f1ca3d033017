"""Time and memory of RTagger training steps by groups, iterations and pixels.

    python -m benchmarks.grouping_time --page docs/guides/speed.md

One number is varied at a time. Each setting is measured in a separate process, and the
processes compute in turns, see `benchmarks/step_time.py`. The cost should grow at most
in proportion to the number of groups, iterations and pixels. Rematerialisation
(`remat`) is not measured on TensorFlow, where it saves no memory, see
`RecurrentLadder`.
"""

import contextlib
from statistics import median

from benchmarks import command, table
from benchmarks.step_time import Child, described, take_turns

# Groups, iterations, side of the frames, whether `remat` is on.
BASE = (3, 5, 32, 0)
SETTINGS = (
    BASE,
    *((k, *BASE[1:]) for k in (1, 6)),
    *((BASE[0], t, *BASE[2:]) for t in (10, 20)),
    *((*BASE[:2], size, 0) for size in (16, 64)),
    *((BASE[0], t, BASE[2], 1) for t in (5, 10, 20)),
)
MARKERS = "<!-- grouping-benchmark:begin -->", "<!-- grouping-benchmark:end -->"
NAMES = ("groups", "iterations", "size", "remat")
HEAD = "backend, groups, iterations, side, recomputed, work, time, memory, images/s"
HEAD += ", memory MB"
LEGEND = """\
Work is groups x iterations x pixels. Work, time and memory are relative to the first
row of the same backend. Memory is what the process uses in addition to the framework
and the model. Recomputed: with `remat=True`."""


def measure(args, backend):
    """Yield a row of results for each setting."""
    with contextlib.ExitStack() as alive:
        works = {}
        for setting in SETTINGS:
            if setting[-1] and backend == "tensorflow":
                continue
            more = dict(zip(NAMES, setting, strict=True))
            work = Child(alive, args, "rtagger", backend, width=args.width, **more)
            works[setting] = work
        take_turns(list(works.values()), args)
    for setting, process in works.items():
        row = {"backend": backend, **dict(zip(NAMES, setting, strict=True))}
        row.update(described(args, process.facts), width=args.width)
        if process.turns:
            row["step_ms"] = 1e3 * median(process.turns)
            row["memory_mb"] = process.memory_mb - process.facts["memory_mb"]
        yield row


def lines_of(rows):
    """Return the lines of the table."""
    (width,) = {row["width"] for row in rows}
    names = HEAD.split(", ")
    return [
        f"A training step of `moving_mnist_rtagger` at width {width} on "
        f"{rows[0]['batch']} films {table.measured(rows)}:",
        "",
        f"| {' | '.join(names)} |",
        f"|{'---|' * 5}{'---:|' * (len(names) - 5)}",
        *(f"| {' | '.join(cells(row, rows))} |" for row in rows),
        "",
        LEGEND,
    ]


def cells(row, rows):
    """Return the cells of a line of the table."""
    first = next(other for other in rows if other["backend"] == row["backend"])
    facts = [
        *(row[name] for name in ("backend", *NAMES[:3])),
        "yes" if row["remat"] == "1" else "no",
        f"{work(row) / work(first):.2g}",
    ]
    if not row["step_ms"]:
        return [*facts, "", "", "failed", ""]
    step, memory = (float(row[name]) for name in ("step_ms", "memory_mb"))
    return [
        *facts,
        f"{step / float(first['step_ms']):.2f}",
        f"{memory / float(first['memory_mb']):.2f}",
        table.rounded(1e3 * int(row["batch"]) * int(row["iterations"]) / step),
        table.rounded(memory),
    ]


def work(row):
    """Return the number of pixels of all groups in all iterations."""
    return int(row["groups"]) * int(row["iterations"]) * int(row["size"]) ** 2


def main(argv=None):
    parser = command.options(__doc__, "grouping.csv")
    width = "multiplier of all channels; default: 0.5"
    parser.add_argument("--width", type=float, default=0.5, help=width)
    batch = "sequences in a batch; default: 4"
    parser.add_argument("--batch", type=int, default=4, help=batch)
    key = ("backend", *NAMES)
    args = parser.parse_args(argv)
    command.run(args, measure, args.backends, key, lines_of, MARKERS)


if __name__ == "__main__":
    main()
