"""Speed of the RLadder of Table 8 in training and streaming, compared with an LSTM.

    python -m benchmarks.music_time --page docs/guides/speed.md

Both models are measured on each backend, in separate processes that compute in turns,
see `benchmarks/step_time.py`. The LSTM is `keras.layers.LSTM(850)` with a dense
read-out; it has about as many parameters as the RLadder. PyTorch counts the operations
of a training step of the RLadder.
"""

import contextlib
from statistics import median

from benchmarks import command, table
from benchmarks.step_time import Child, described, take_turns

WORKS = {
    "music_rladder": "RLadder, training steps/s",
    "music_lstm": "LSTM, training steps/s",
    "music_rladder_stream": "RLadder, ms per streamed step",
    "music_rladder_again": "RLadder, ms for the last of 25 steps without a state",
    "music_lstm_stream": "LSTM, ms per streamed step",
}
MARKERS = "<!-- music-benchmark:begin -->", "<!-- music-benchmark:end -->"


def measure(args, backend):
    """Return the row of results of a backend."""
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
    return [row]


def lines_of(rows):
    """Return the lines of the table."""
    sizes = (rows[0][f"{work}_parameters"] for work in ("music_rladder", "music_lstm"))
    lines = [
        f"Music at full width {table.measured(rows)}: time steps per second in "
        f"training, in batches of {rows[0]['batch']} rows of 25 steps, and the time of "
        "one step of one piece, either streamed or with all steps before it computed "
        "again. The peer is `keras.layers.LSTM` ("
        "{:,} parameters and {:,}).".format(*map(int, sizes)),
        "",
        f"| backend | {' | '.join(WORKS.values())} | RLadder, % of matmul rate |",
        f"|---|{'---:|' * len(WORKS)}---:|",
    ]
    for row in rows:
        cells = [table.rounded(row.get(work, "")) for work in WORKS]
        cells.append(table.share(row.get("gflops", ""), row.get("matmul_gflops", "")))
        lines.append(f"| {row['backend']} | {' | '.join(cells)} |")
    return lines


def main(argv=None):
    parser = command.options(__doc__, "music.csv")
    batch = "rows in a training batch; default: 32"
    parser.add_argument("--batch", type=int, default=32, help=batch)
    args = parser.parse_args(argv)
    command.run(args, measure, args.backends, ("backend",), lines_of, MARKERS)


if __name__ == "__main__":
    main()
