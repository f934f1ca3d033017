"""Results of a benchmark: a csv file, and a table of it in a page of the docs."""

import csv
import io
import os
from pathlib import Path

FACTS = ("device", "cores", "batch", "date", "commit", "versions")


def save(path, rows, key, columns=()):
    """Put rows into the csv file; of rows with the same key the latest stays.

    Args:
        path: The file, made if need be.
        rows: Dicts from names of columns to values.
        key: Names of the columns that tell rows apart.
        columns: Names of those that come first, whether rows have them or not.
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
    """Rows of the csv file, of which there must be some."""
    rows = read(path)
    if not rows:
        raise SystemExit(f"{path} has no results: run the measurement first.")
    return rows


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


def parts(page, markers):
    """Text of a page before and after the place of a table."""
    content = Path(page).read_text() if Path(page).exists() else ""
    before, begin, rest = content.partition(markers[0])
    _, end, after = rest.partition(markers[1])
    if not (begin and end):
        begin, end = markers
        raise SystemExit(f"{page} lacks the lines {begin} and {end}: add them first.")
    return before, after


def put(page, markers, lines):
    """Write lines into their place in a page."""
    before, after = parts(page, markers)
    begin, end = markers
    write(page, before + "\n".join([begin, *lines, end]) + after)


def facts(rows):
    """What all rows were measured with, as text: a dict of `FACTS`."""
    found = {name: ", ".join(sorted({row[name] for row in rows})) for name in FACTS}
    versions = {v for row in rows for v in row["versions"].split(", ") if v}
    return {**found, "versions": ", ".join(sorted(versions))}


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
