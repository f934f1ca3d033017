"""The corpora: figures of their authors, downloads, damaged files, MIDI folders."""

import hashlib
import http.server
import os
import threading
import types
from pathlib import Path

import numpy as np
import pytest

from zoo.data.music import chorales
from zoo.data.music import corpora as music
from zoo.data.music.midi import KEYS, write_midi
from zoo.data.music.rolls import piano_rolls
from zoo.experiments import EXPERIMENTS

pytestmark = pytest.mark.once

HERE = Path(os.environ.get("RLADDER_DATA_DIR") or "nowhere") / "music"
needs_corpora = pytest.mark.skipif(
    not HERE.is_dir(), reason="RLADDER_DATA_DIR has no folder 'music'"
)


@needs_corpora
@pytest.mark.parametrize(
    ("name", "pieces", "frames", "notes"),
    [
        ("jsb", (229, 76, 77), (13_807, 4_602, 4_725), 3.90),
        ("jsb_8th", (229, 76, 77), (27_614, 9_204, 9_450), 3.90),
        ("jsb_16th", (229, 76, 77), (55_228, 18_408, 18_900), 3.90),
        ("nottingham", (694, 173, 170), (176_561, 45_513, 44_463), 3.96),
        ("muse", (524, 135, 124), (245_202, 82_755, 64_339), 3.49),
        ("piano_midi", (87, 12, 25), (75_911, 8_540, 19_036), 3.04),
    ],
)
def test_the_corpora_are_those_of_their_authors(name, pieces, frames, notes):
    corpus = music.load_corpus(name)
    splits = corpus.train, corpus.valid, corpus.test
    assert tuple(map(len, splits)) == pieces
    assert tuple(sum(map(len, split)) for split in splits) == frames
    rolls = np.concatenate(corpus.train)
    assert rolls.dtype == np.uint8 and rolls.shape[1] == KEYS and rolls.max() == 1
    assert rolls.sum() / len(rolls) == pytest.approx(notes, abs=0.03)


@needs_corpora
@pytest.mark.parametrize("name", music.FILES)
def test_batches_of_the_experiments_are_hardly_padded(name):
    args = types.SimpleNamespace(dataset=name)
    batch_size = EXPERIMENTS["table-3"].batch_size(args)
    train, _, _ = piano_rolls(name, batch_size, verbose=False)
    steps = len(train) * train.batch_size * train.window
    assert train.num_steps > 0.9 * steps


@needs_corpora
def test_the_three_files_of_the_chorales_hold_the_same_pieces():
    """Those of quarter notes in another order and key, all moved to C."""
    quarters, eighths, sixteenths = (
        music.load_corpus(name).test for name in ("jsb", "jsb_8th", "jsb_16th")
    )
    assert sorted(map(len, quarters)) == sorted(len(piece) // 2 for piece in eighths)
    for eighth, sixteenth in zip(eighths, sixteenths, strict=True):
        np.testing.assert_array_equal(eighth, sixteenth[::2])


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A corpus on a server of this machine, and nothing in the cache."""
    content = b'{"train": [[[60], []]], "valid": [[[61, 108]]], "test": [[[21]]]}'
    served = tmp_path / "served"
    served.mkdir()
    (served / "tiny.json").write_bytes(content)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=served)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{http_server.server_port}/tiny.json"
        digest = hashlib.sha256(content).hexdigest()
        file = music.File("Tiny", address, digest)
        monkeypatch.setitem(music.FILES, "tiny", file)
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
        monkeypatch.delenv("RLADDER_DATA_DIR", raising=False)
        yield served / "tiny.json"
        http_server.shutdown()


def cached(tmp_path):
    home = tmp_path / "home"
    return [path.name for path in home.rglob("*") if path.is_file()]


def test_a_corpus_is_downloaded_once(server, tmp_path):
    corpus = music.load_corpus("tiny")
    assert [piece.shape for piece in corpus.train] == [(2, KEYS)]
    assert list(np.flatnonzero(corpus.valid[0][0])) == [40, 87]
    assert cached(tmp_path) == ["tiny.json"]
    server.unlink()
    assert music.load_corpus("tiny").name == "Tiny"


@pytest.mark.parametrize("change", [b"", b"{", b'{"train": []}'])
def test_a_download_that_was_altered_is_refused_and_not_kept(server, tmp_path, change):
    server.write_bytes(change)
    with pytest.raises(ValueError, match="Tiny, with .*; it is incomplete or was"):
        music.load_corpus("tiny")
    assert cached(tmp_path) == []


def test_a_damaged_file_of_the_cache_is_refused_by_name(server, tmp_path):
    music.load_corpus("tiny")
    (path,) = (tmp_path / "home").rglob("tiny.json")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="tiny.json must .* altered. Delete it and"):
        music.load_corpus("tiny")


def test_without_a_network_the_remedy_is_named(server, monkeypatch):
    server.unlink()
    with pytest.raises(ConnectionError, match="to the Internet, put tiny.json into"):
        music.load_corpus("tiny")


@pytest.fixture
def folder(tmp_path):
    """Thirty files of one chord each, in two folders."""
    for i in range(30):
        roll = np.zeros((i + 2, KEYS))
        roll[:, [30, 30 + i]] = 1
        name = f"{'a' if i < 15 else 'b'}/{i:02d}.{'mid' if i % 2 else 'MIDI'}"
        write_midi(tmp_path / "pieces" / name, roll)
    return tmp_path / "pieces"


def test_a_folder_of_midi_files_is_split_in_the_order_of_names(folder):
    corpus = music.load_corpus(folder)
    assert [len(piece) for piece in corpus.train] == list(range(2, 26))
    assert [len(piece) for piece in corpus.valid] == [26, 27, 28]
    assert [len(piece) for piece in corpus.test] == [29, 30, 31]


def one_step(path):
    write_midi(path, np.ones((1, KEYS)))


def without_a_key(path):
    """A key signature of 16 sharps."""
    content = path.read_bytes()
    track = content.index(b"MTrk")
    length = int.from_bytes(content[track + 4 : track + 8], "big") + 6
    signature = b"\x00\xff\x59\x02\x10\x00"
    head = content[: track + 4] + length.to_bytes(4, "big")
    path.write_bytes(head + signature + content[track + 8 :])


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"MThd"), one_step])
def test_a_damaged_midi_file_is_refused_or_left_out_by_name(folder, damage):
    damage(folder / "a" / "03.mid")
    with pytest.raises(ValueError, match="03.mid"):
        music.load_corpus(folder)
    with pytest.warns(UserWarning, match="left out: .*03.mid"):
        corpus = music.load_corpus(folder, errors="skip")
    assert len(corpus.train) == 25


def test_what_is_left_out_of_files_is_counted_once(folder):
    for name in ("03.mid", "05.mid"):
        without_a_key(folder / "a" / name)
    for errors in ("raise", "skip"):
        names = r"2 of 30 files of .* \(03.mid, 05.mid\): left out 2 bad key signature"
        with pytest.warns(UserWarning, match=names) as caught:
            corpus = music.load_corpus(folder, errors=errors)
        assert len(caught) == 1 and len(corpus.train) == 24
    with pytest.raises(ValueError, match="03.mid must follow the MIDI standard"):
        music.load_corpus(folder, strict=True)
    with pytest.warns(UserWarning, match="left out: .*0[35].mid must follow") as caught:
        corpus = music.load_corpus(folder, strict=True, errors="skip")
    assert len(caught) == 2 and len(corpus.train) == 24


def test_hidden_files_are_no_music(folder):
    """As those that macOS puts beside others into archives."""
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._03.mid").write_bytes(b"\0\5\x16\7")
    assert len(music.load_corpus(folder).train) == 24


def test_a_folder_with_the_name_of_a_file_is_none(folder):
    (folder / "album.mid").mkdir()
    assert len(music.load_corpus(folder).train) == 24


def test_a_broken_link_is_refused_or_left_out_by_name(folder):
    (folder / "lost.mid").symlink_to(folder / "nowhere.mid")
    with pytest.raises(
        FileNotFoundError, match="lost.mid must be .*; got a broken link"
    ):
        music.load_corpus(folder)
    with pytest.warns(UserWarning, match="left out: .*lost.mid must .* broken link"):
        corpus = music.load_corpus(folder, errors="skip")
    assert len(corpus.train) == 24


@pytest.mark.parametrize("options", [{"step": 0}, {"unit": "beats"}])
def test_bad_time_steps_are_no_fault_of_the_files(folder, options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
        music.load_corpus(folder, errors="skip", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"step": 0.25},
        {"unit": "seconds"},
        {"errors": "skip"},
        {"pedal": True},
        {"strict": True},
    ],
)
def test_what_does_not_apply_to_a_corpus_is_refused(options):
    match = f"`{next(iter(options))}`, an option for folders of MIDI files, .* 'jsb'"
    with pytest.raises(ValueError, match=match):
        music.load_corpus("jsb", **options)


def test_what_is_no_source_of_music_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="one of the corpora: jsb,"):
        music.load_corpus(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="has no MIDI files"):
        music.load_corpus(tmp_path)
    write_midi(tmp_path / "one.mid", np.ones((2, KEYS)))
    with pytest.raises(ValueError, match="at least three valid .* got 1 MIDI file"):
        music.load_corpus(tmp_path)
    with pytest.raises(ValueError, match="`errors`"):
        music.load_corpus("jsb", errors="ignore")


def test_a_chorale_of_music21_is_read():
    pytest.importorskip("music21")
    first = next(iter(chorales.parse_chorales()))  # BWV 269, in G, with an upbeat
    assert max(end for _, end, _ in first) == 63
    chords = [{key for a, b, key in first if a <= t < b} for t in (0, 1, 2)]
    assert chords == [{43, 59, 62, 67}, {55, 59, 62, 67}, {52, 60, 64, 67}]


def test_chorales_are_read_once_and_repetitions_left_out(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    pieces = [[(0, n, 60), (n, n + 1, 64)] for n in (*range(1, 11), 4)]
    monkeypatch.setattr(chorales, "parse_chorales", lambda: iter(pieces))
    corpus = music.load_corpus("bach", step=1)
    assert tuple(map(len, corpus[1:])) == (8, 1, 1)
    np.testing.assert_array_equal(np.argwhere(corpus.train[1])[:, 1] + 21, [60, 60, 64])
    monkeypatch.setattr(chorales, "parse_chorales", None)
    again = music.load_corpus("bach", step=1)
    for a, b in zip(corpus.train, again.train, strict=True):
        np.testing.assert_array_equal(a, b)
    for bad in ({"step": 0}, {"unit": "seconds"}, {"errors": "skip"}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            music.load_corpus("bach", **bad)
