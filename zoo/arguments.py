"""Command lines: types of arguments, with errors that say what is expected."""

import argparse
import re
import sys
from typing import Any


def module_to_run() -> tuple[str | None, list[str]]:
    """Return the module that `python -m` runs, and its arguments.

    Only while Python imports the package of the module: `sys.argv[0]` is then "-m", and
    `sys.orig_argv` holds the whole command line. Otherwise the module is `None`.
    """
    if sys.argv[:1] != ["-m"]:
        return None, []
    return sys.orig_argv[-len(sys.argv)], sys.argv[1:]


class OneOrMore(argparse.Action):
    """Action for `nargs="+"` that stores a single value without a list."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values[0] if len(values) == 1 else values)


def integer(least: int, text: str) -> int:
    """Parse an integer that is at least `least`."""
    if not re.fullmatch(r"\d+", text) or int(text) < least:
        raise argparse.ArgumentTypeError(
            f"must be an integer of {least} or more; got {text!r}"
        )
    return int(text)


def positive(text: str) -> float:
    """Parse a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0; got {text!r}")
    return number


def fraction(text: str) -> float:
    """Parse a number above 0 and below 1."""
    number = positive(text)
    if number >= 1:
        raise argparse.ArgumentTypeError(
            f"must be a number above 0 and below 1; got {text!r}"
        )
    return number
