"""The gallery shows all trained weights, with the figures of their cards."""

import importlib.util
from pathlib import Path

import pytest

import zoo

pytestmark = pytest.mark.once
DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def gallery():
    spec = importlib.util.spec_from_file_location("gallery", DOCS / "gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(gallery):
    assert (DOCS / "gallery.md").read_text(encoding="utf-8") == gallery.page()


def test_all_weights_have_a_picture_and_music_has_a_piece(gallery):
    shipped = [(m, name) for m, names in zoo.list_weights().items() for name in names]
    assert sorted(shipped) == sorted((c["model"], c["name"]) for c in gallery.cards())
    for model, name in shipped:
        endings = [".png", ".mid"] if model.startswith("polyphonic") else [".png"]
        for ending in endings:
            assert (DOCS / "gallery" / f"{model}-{name}{ending}").stat().st_size > 500
