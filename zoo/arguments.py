"""Types of command-line arguments, refused in one sentence."""

import argparse
import re


def integer(least, text):
    """An integer of that size or above."""
    if not re.fullmatch(r"\d+", text) or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be an integer of {least} or more")
    return int(text)


def positive(text):
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be a number above 0")
    return number


def fraction(text):
    """A number above 0 and below 1."""
    number = positive(text)
    if number >= 1:
        raise argparse.ArgumentTypeError("must be a number above 0 and below 1")
    return number
