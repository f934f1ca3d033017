"""Results of `benchmarks/step_time.py`: a csv file, and from it the README's table."""

import csv
import io
import os
from pathlib import Path

BEGIN, END = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"
MUSIC = "<!-- music-benchmark:begin -->", "<!-- music-benchmark:end -->"
KEY = ("device", "cores", "batch", "width", "backend", "loop")
COLUMNS = (*KEY, "build_s", "compile_s", "step_ms", "sequences_per_s", "gflops")
COLUMNS += ("matmul_gflops", "memory_mb", "torch_ms", "vs_torch", "convlstm_ms")
COLUMNS += ("vs_convlstm", "macs", "convlstm_macs", "stopped")
COLUMNS += ("date", "commit", "versions")
HEAD = "width, backend, loop, compile s, step ms, sequences/s, % of matmul rate"
HEAD += ", peak memory MB, vs hand-written PyTorch, vs ConvLSTM2D stack"
LEGEND = """\
"Compile" is what the first call takes longer than a later one. The rate counts six
times the forward multiply-accumulates, as share of what a 1024 x 1024 fp32 product
reaches in the same framework and process, and in brackets of the fastest framework's.
Memory is that of the process on the host. The last columns are the peer's time by ours,
the median over turns taken one after the other: above 1, ours is faster. The peers are
`benchmarks/torch_ladder.py`, the same model by hand, and a stack of
`keras.layers.ConvLSTM2D` with the same backend and loop and, within 10 %, as many
multiply-accumulates."""


def save(path, rows):
    """Put rows into the csv file; of rows with the same key the latest stays."""
    merged = {tuple(row[k] for k in KEY): row for row in read(path)}
    for row in rows:
        row = {k: text(row.get(k, "")) for k in COLUMNS}
        merged[tuple(row[k] for k in KEY)] = row
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(merged[key] for key in sorted(merged))
    write(path, file.getvalue())


def read(path):
    """Rows of the csv file, all values as text; none if there is no file."""
    if not Path(path).exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def text(value):
    """Four digits are more than a timing is good for."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def write(path, content):
    """Write a file whole or not at all."""
    temporary = Path(f"{path}.{os.getpid()}.tmp")
    temporary.write_text(content)
    os.replace(temporary, path)


def parts(readme, markers=(BEGIN, END)):
    """What stands before and after a table's place in the README."""
    content = Path(readme).read_text() if Path(readme).exists() else ""
    before, begin, rest = content.partition(markers[0])
    _, end, after = rest.partition(markers[1])
    if not (begin and end):
        begin, end = markers
        raise SystemExit(f"{readme} lacks the lines {begin} and {end}: add them first.")
    return before, after


def render(path, readme):
    """Write the table of the csv file into the README."""
    before, after = parts(readme)
    machines = {}
    for row in read(path):
        machine = row["device"], row["cores"], row["batch"]
        machines.setdefault(machine, []).append(row)
    if not machines:
        raise SystemExit(f"{path} has no results: run the measurement first.")
    tables = [table(*machine, rows) for machine, rows in machines.items()]
    body = "\n\n".join([*tables, LEGEND])
    write(readme, f"{before}{BEGIN}\n{body}\n{END}{after}")


def table(device, cores, batch, rows):
    """Caption, table and the data generator's speed of one machine."""
    dates, commits = ({row[k] for row in rows} for k in ("date", "commit"))
    versions = {v for row in rows for v in row["versions"].split(", ") if v}
    when, of, using = (", ".join(sorted(n)) for n in (dates, commits, versions))
    head = HEAD.split(", ")
    lines = [
        f"A training step of `occluded_mnist_rladder` on {batch} sequences of 5 frames "
        f"on {device} ({cores} core{'s' * (cores != '1')}), measured {when} "
        f"at commit {of} with {using}:",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * 3}{'---:|' * (len(head) - 3)}",
    ]
    models = [row for row in rows if row["backend"] != "data"]
    best = max((number(row["matmul_gflops"]) for row in models), default=0)
    for row in sorted(models, key=lambda row: (float(row["width"]), row["backend"])):
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
    """What a line of the table says; `best` is the fastest framework's matmul rate."""
    rates = (row["matmul_gflops"], best)
    own, of_best = (share(row["gflops"], rate) for rate in rates)
    return [
        *(row[k] for k in ("width", "backend", "loop")),
        rounded(row["compile_s"]),
        rounded(row["step_ms"]) or row["stopped"],
        rounded(row["sequences_per_s"]),
        own and f"{own} ({of_best})",
        rounded(row["memory_mb"]),
        rounded(row["vs_torch"], 2),
        rounded(row["vs_convlstm"], 2),
    ]


def share(rate, whole):
    """Per cent that `rate` is of `whole`; empty where one of them is not known."""
    rate, whole = number(rate), number(whole)
    return f"{100 * rate / whole:.0f}" if rate and whole else ""


def number(value):
    """A cell's number, or 0 where there is none."""
    try:
        return float(value)
    except ValueError:
        return 0.0


def rounded(value, digits=None):
    """A cell for reading; what is no number (a reason) stays as it is."""
    try:
        n = float(value)
    except ValueError:
        return value
    if digits is None:
        digits = 0 if n >= 100 else 1
    return f"{n:.{digits}f}"
