"""Table of the results of `benchmarks/step_time.py` in the README."""

from benchmarks import table
from benchmarks.table import number, rounded, share

MARKERS = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"
KEY = ("device", "cores", "batch", "width", "precision", "backend", "loop")
COLUMNS = (*KEY, "build_s", "compile_s", "step_ms", "sequences_per_s", "gflops")
COLUMNS += ("matmul_gflops", "memory_mb", "torch_ms", "vs_torch", "convlstm_ms")
COLUMNS += ("vs_convlstm", "macs", "convlstm_macs", "stopped")
COLUMNS += ("date", "commit", "versions")
HEAD = "width, precision, backend, loop, compile s, step ms, sequences/s"
HEAD += ", % of matmul rate, peak memory MB"
HEAD += ", vs hand-written PyTorch, vs ConvLSTM2D stack"
LEGEND = """\
"Compile" is what the first call takes longer than a later one. The rate counts six
times the forward multiply-accumulates, as share of what a product of 1024 x 1024
matrices (on a GPU 8192 x 8192) reaches in the same precision, framework and process,
and in brackets of the fastest framework's. Memory is that of the process, on the host
or the GPU. The last columns are the peer's time by ours,
the median over turns taken one after the other: above 1, ours is faster. The peers are
`benchmarks/torch_ladder.py`, the same model by hand, and a stack of
`keras.layers.ConvLSTM2D` with the same backend and loop and, within 10 %, as many
multiply-accumulates."""


def save(path, rows):
    """Add rows to the CSV file, and replace rows of the same setting."""
    table.save(path, rows, KEY, COLUMNS)


def render(path, readme):
    """Write the tables of the CSV file into the README, one for each machine."""
    machines = {}
    for row in table.results(path):
        machine = row["device"], row["cores"], row["batch"]
        machines.setdefault(machine, []).append(row)
    tables = [lines_of(rows) for rows in machines.values()]
    table.put(readme, MARKERS, ["\n\n".join([*tables, LEGEND])])


def lines_of(rows):
    """Return caption, table and speed of the data generator for one machine."""
    device, cores, batch, date, commit, versions = table.facts(rows).values()
    head = HEAD.split(", ")
    lines = [
        f"A training step of `occluded_mnist_rladder` on {batch} sequences of 5 frames "
        f"on {device} ({cores} core{'s' * (cores != '1')}), measured {date} "
        f"at commit {commit} with {versions}:",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * 4}{'---:|' * (len(head) - 4)}",
    ]
    models = [row for row in rows if row["backend"] != "data"]
    models.sort(key=lambda row: (float(row["width"]), *(row[k] for k in KEY[-3:])))
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
                f"{rate / fastest:,.0f} times what the fastest of these models takes.",
            ]
    return "\n".join(lines)


def cells(row, best):
    """Return the cells of a line; `best` is the fastest framework's matmul rate."""
    rates = (row["matmul_gflops"], best)
    own, of_best = (share(row["gflops"], rate) for rate in rates)
    return [
        *(row[k] for k in KEY[-4:]),
        rounded(row["compile_s"]),
        rounded(row["step_ms"]) or row["stopped"],
        rounded(row["sequences_per_s"]),
        own and f"{own} ({of_best})",
        rounded(row["memory_mb"]),
        rounded(row["vs_torch"], 2),
        rounded(row["vs_convlstm"], 2),
    ]
