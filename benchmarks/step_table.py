"""Table of the results of `benchmarks/step_time.py` in docs/guides/speed.md."""

from benchmarks import table
from benchmarks.table import number, rounded, share

MARKERS = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"
MODEL = ("ladder", "width", "precision", "backend", "loop")
KEY = ("device", "cores", "batch", *MODEL)
COLUMNS = (*KEY, "build_s", "compile_s", "step_ms", "sequences_per_s", "gflops")
COLUMNS += ("matmul_gflops", "memory_mb", "torch_ms", "vs_torch", "convlstm_ms")
COLUMNS += ("vs_convlstm", "macs", "convlstm_macs", "stopped")
COLUMNS += ("date", "commit", "versions")
HEAD = "ladder, width, precision, backend, loop, compile s, step ms, sequences/s"
HEAD += ", % of matmul rate, peak memory MB"
HEAD += ", vs hand-written PyTorch, vs ConvLSTM stack"
LEGEND = """\
- **tensorflow**: with oneDNN, `TF_ENABLE_ONEDNN_OPTS=1`. **tensorflow-eigen**: without
  it, TensorFlow's default on processors without AVX512 instructions.
- A cell is empty if it was not measured. A commit with `+` had uncommitted changes.
- **ladder**: `paper` is Table 5, `small` is `zoo.occluded_mnist.small_table`.
- **loop**: `unroll` is a Python loop over time (`unroll=True`), `scan` a loop of the
  backend (`unroll=False`).
- **compile**: how much longer the first call takes than a later call.
- **% of matmul rate**: the operations of a step (six times its forward
  multiply-accumulates) per second, divided by the rate of a matrix product in the same
  precision, framework and process. In brackets: divided by the rate of the fastest
  framework. The matrices are 1024 x 1024 on a CPU and 8192 x 8192 on a GPU. More than
  100 % means that matrix products are slower than convolutions.
- **peak memory**: memory of the process on the host, or on the GPU.
- **vs**: the time of the peer divided by the time of the RLadder. Above 1, the RLadder
  is faster. The value is a median over turns that the two processes take one after the
  other.
- **hand-written PyTorch**: the same model in `benchmarks/torch_ladder.py`, for Table 5
  only. Like the ladder, its unrolled loop leaves out the prediction after the last
  frame, and the maps of the zeros before the first frame.
- **ConvLSTM stack**: `keras.layers.ConvLSTM2D` on the same backend with the same loop
  and, within 10 %, the same number of multiply-accumulates."""


def save(path, rows):
    """Add rows to the CSV file, and replace rows of the same setting."""
    table.save(path, rows, KEY, COLUMNS)


def render(path, page):
    """Write the tables of the CSV file into a page, one for each machine."""
    machines = {}
    for row in table.results(path):
        machine = row["device"], row["cores"], row["batch"]
        machines.setdefault(machine, []).append(row)
    tables = [lines_of(rows) for rows in machines.values()]
    table.put(page, MARKERS, ["\n\n".join([*tables, LEGEND])])


def lines_of(rows):
    """Return caption, table and speed of the data generator for one machine."""
    head = HEAD.split(", ")
    lines = [
        f"A training step of `occluded_mnist_rladder` on {rows[0]['batch']} sequences "
        f"of 5 frames {table.measured(rows)}:",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(MODEL)}{'---:|' * (len(head) - len(MODEL))}",
    ]
    models = [row for row in rows if row["backend"] != "data"]
    models.sort(
        key=lambda row: [float(row[k]) if k == "width" else row[k] for k in MODEL]
    )
    for row in models:
        same = [r for r in models if r["precision"] == row["precision"]]
        best = max(number(r["matmul_gflops"]) for r in same)
        lines.append(f"| {' | '.join(cells(row, best))} |")
    fastest = max((number(row["sequences_per_s"]) for row in models), default=0)
    for row in rows:
        rate = number(row["sequences_per_s"])
        if row["backend"] == "data" and rate and fastest:
            lines += [
                "",
                f"The data generator ({row['loop']}) draws {rate:,.0f} sequences/s, "
                f"{rate / fastest:,.0f} times as many as the fastest model consumes.",
            ]
    return "\n".join(lines)


def cells(row, best):
    """Return the cells of a line; `best` is the fastest framework's matmul rate."""
    rates = (row["matmul_gflops"], best)
    own, of_best = (share(row["gflops"], rate) for rate in rates)
    return [
        *(row[k] for k in MODEL),
        rounded(row["compile_s"]),
        rounded(row["step_ms"]) or row["stopped"],
        rounded(row["sequences_per_s"]),
        own and f"{own} ({of_best})",
        rounded(row["memory_mb"]),
        rounded(row["vs_torch"], 2),
        rounded(row["vs_convlstm"], 2),
    ]
