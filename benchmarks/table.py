"""Results of a benchmark: a CSV file, and a table in a page of the docs."""

import csv
import io
import os
from pathlib import Path

FACTS = ("device", "cores", "date", "commit")


def save(path, rows, key, columns=()):
    """Add rows to the CSV file, and replace older rows with the same key.

    Args:
        path: The file. It is created if it does not exist.
        rows: Dictionaries from names of columns to values.
        key: Names of the columns that identify a row.
        columns: Names of the first columns, whether rows have them or not.
    """
    merged = [*read(path), *({k: text(v) for k, v in row.items()} for row in rows)]
    rows = {tuple(row.get(k, "") for k in key): row for row in merged}.values()
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    file = io.StringIO()
    writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write(path, file.getvalue())


def results(path):
    """Return the rows of the CSV file, or exit with an error if there are none."""
    rows = read(path)
    if not rows:
        raise SystemExit(f"{path} has no results. Run the measurement first.")
    return rows


def read(path):
    """Return the rows of the CSV file as text; an empty list if there is no file."""
    if not Path(path).exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def text(value):
    """Return a value as text, numbers with four significant digits."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def write(path, content):
    """Write a file atomically: readers see the old file or the complete new one."""
    temporary = Path(f"{path}.{os.getpid()}.tmp")
    temporary.write_text(content)
    os.replace(temporary, path)


def parts(page, markers):
    """Return the parts of a page before and after the markers of a table."""
    content = Path(page).read_text() if Path(page).exists() else ""
    before, begin, rest = content.partition(markers[0])
    _, end, after = rest.partition(markers[1])
    if not (begin and end):
        begin, end = markers
        raise SystemExit(f"{page} lacks the lines {begin} and {end}. Add them first.")
    return before, after


def put(page, markers, lines):
    """Write lines between the markers of a page."""
    before, after = parts(page, markers)
    begin, end = markers
    write(page, before + "\n".join([begin, *lines, end]) + after)


def measured(rows):
    """Return on which machine, when, and with which code all rows were measured."""
    all_of = (", ".join(sorted({row[name] for row in rows})) for name in FACTS)
    device, cores, date, commit = all_of
    versions = {v for row in rows for v in row["versions"].split(", ") if v}
    return (
        f"on {device} ({cores} core{'s' * (cores != '1')}), measured {date} at commit "
        f"{commit} with {', '.join(sorted(versions))}"
    )


def share(rate, whole):
    """Return `rate` in per cent of `whole`; empty if one of them is unknown."""
    rate, whole = number(rate), number(whole)
    return f"{100 * rate / whole:.0f}" if rate and whole else ""


def number(value):
    """Return the number in a cell, or 0 if there is none."""
    try:
        return float(value)
    except ValueError:
        return 0.0


def rounded(value, digits=None):
    """Return a cell with a rounded number; other text does not change."""
    try:
        n = float(value)
    except ValueError:
        return value
    if digits is None:
        digits = 0 if n >= 100 else 1
    return f"{n:.{digits}f}"
