"""Types of command-line arguments, each with an error that says what is expected."""

import argparse
import re


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
