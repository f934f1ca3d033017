"""Speed of the RLadder of Table 8 in training and in streaming, beside a stock LSTM.

    python -m benchmarks.music_time --readme README.md

Both in each backend, in processes that live side by side and compute in turns, see
`benchmarks/step_time.py`. The LSTM is `keras.layers.LSTM(850)` with a dense read-out,
which has nearly as many parameters. What a training step of the RLadder computes is
counted by torch.
"""

import argparse
import contextlib
import csv
import io
from statistics import median

from benchmarks import table
from benchmarks.step_time import ROOT, Child, commit, described, take_turns

WORKS = {
    "music_rladder": "RLadder, training steps/s",
    "music_lstm": "LSTM, training steps/s",
    "music_rladder_stream": "RLadder, ms a streamed step",
    "music_rladder_again": "RLadder, ms the last of 25 steps without a state",
    "music_lstm_stream": "LSTM, ms a streamed step",
}
FACTS = ("device", "cores", "batch", "date", "commit", "versions")


def measure(args, backend):
    """One row of results."""
    with contextlib.ExitStack() as alive:
        flops = Child(alive, args, "music_flops", "torch").facts.get("flops", 0)
        works = {work: Child(alive, args, work, backend, "") for work in WORKS}
        take_turns(list(works.values()), args)
    row = {"backend": backend, **described(args, works["music_rladder"].facts)}
    for work, process in works.items():
        row[f"{work}_parameters"] = process.facts.get("parameters", "")
        if not process.turns:
            row[work] = process.stopped
            continue
        each = median(process.turns) / process.facts["time_steps"]
        row[work] = 1e3 * each if work.endswith(("stream", "again")) else 1 / each
    ladder = works["music_rladder"]
    if ladder.turns and flops:
        row["gflops"] = flops * row["music_rladder"] / 1e9
        row["matmul_gflops"] = median(ladder.rates)
    return row


def save(path, rows, key=("backend",)):
    """Write the csv file whole; of rows with the same key the latest stays."""
    merged = [*table.read(path), *rows]
    rows = list({tuple(str(row[k]) for k in key): row for row in merged}.values())
    file = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: table.text(v) for k, v in row.items()} for row in rows)
    table.write(path, file.getvalue())


def render(path, readme):
    """Write the table of the csv file into the README."""
    before, after = table.parts(readme, table.MUSIC)
    rows = table.read(path)
    if not rows:
        raise SystemExit(f"{path} has no results: run the measurement first.")
    device, cores, batch, date, commit, _ = (
        ", ".join(sorted({row[k] for row in rows})) for k in FACTS
    )
    versions = sorted({v for row in rows for v in row["versions"].split(", ")})
    sizes = (rows[0][f"{work}_parameters"] for work in ("music_rladder", "music_lstm"))
    lines = [
        f"Music at full width on {device} ({cores} cores), measured {date} at commit "
        f"{commit} with {', '.join(versions)}: time steps a second in training, in "
        f"batches of {batch} rows of 25 steps, and the time of a single step of a "
        "single piece, streamed, or with all steps before it once more. The peer is "
        "`keras.layers.LSTM` ("
        "{:,} parameters and {:,}).".format(*map(int, sizes)),
        "",
        f"| backend | {' | '.join(WORKS.values())} | RLadder, % of matmul rate |",
        f"|---|{'---:|' * len(WORKS)}---:|",
    ]
    for row in rows:
        cells = [table.rounded(row.get(work, "")) for work in WORKS]
        cells.append(table.share(row.get("gflops", ""), row.get("matmul_gflops", "")))
        lines.append(f"| {row['backend']} | {' | '.join(cells)} |")
    begin, end = table.MUSIC
    table.write(readme, before + "\n".join([begin, *lines, end]) + after)


def arguments(argv):
    parser = options(__doc__, "music.csv")
    parser.add_argument("--batch", type=int, default=32)
    return parser.parse_args(argv)


def options(doc, results):
    """Parser of what benchmarks with a table of their own have in common."""
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


def main(argv=None):
    args = arguments(argv)
    readme = args.readme or (args.render and str(ROOT / "README.md"))
    if readme:
        table.parts(readme, table.MUSIC)
    if not args.render:
        args.commit = commit()
        save(args.out, [measure(args, backend) for backend in args.backends])
    if readme:
        render(args.out, readme)


if __name__ == "__main__":
    main()
