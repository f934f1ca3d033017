"""Fixtures of several files of tests of the zoo."""

import pytest

from zoo.data import load_digits


@pytest.fixture
def few_digits(monkeypatch):
    """Datasets of digits have few digits of scikit-learn to validate and to test."""

    def few(source, side=14):
        digits = load_digits("sklearn", side)
        short = [type(split)(*(a[:6] for a in split)) for split in digits[2:]]
        return digits._replace(valid=short[0], test=short[1])

    for module in ("moving", "occluded", "textured"):
        monkeypatch.setattr(f"zoo.data.digits.{module}.load_digits", few)
