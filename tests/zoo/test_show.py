"""Pictures: positions of their parts, and the files that are written."""

import numpy as np
import pytest
from PIL import Image

from zoo import show
from zoo.data.digits.occlusion import make_sequences, visibility
from zoo.show import drawing, keys

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    digits = rng.uniform(0.5, 1, (3, 14, 14))
    return make_sequences(digits, np.array([3, 1, 4]), rng)


def size(path):
    with Image.open(path) as image:
        return image.size


def cell(path, row, column):
    """The colours of the 32 x 32 pixels of a cell, in a figure without a title."""
    with Image.open(path) as image:
        image = np.asarray(image.convert("RGB"))
    step = (drawing.CELL + drawing.SPACE) * drawing.DPI
    y = (drawing.MARGIN + drawing.HEAD) * drawing.DPI + row * step
    x = (drawing.MARGIN + drawing.LABEL) * drawing.DPI + column * step
    centres = (np.arange(32) + 0.5) * drawing.DPI / 32
    return image[np.ix_((y + centres).astype(int), (x + centres).astype(int))] / 255


def test_each_picture_is_where_it_belongs(tmp_path, batch):
    predicted = batch.frames[0] * 0 + np.linspace(0.2, 1, 5)[:, None, None, None]
    probabilities = np.eye(10)[[3, 1, 3, 3, 3]]
    path = show.sequence(
        tmp_path / "sequence.png",
        batch.frames[0],
        predicted,
        batch.unoccluded[0],
        batch.unoccluded[0, 1:],
        probabilities,
        label=3,
    )
    assert path == tmp_path / "sequence.png"
    inner = np.s_[1:-1, 1:-1]  # without the line around a picture
    hidden = visibility() == 0
    for t in range(5):
        ink = 1 - batch.unoccluded[0, t]
        np.testing.assert_allclose(
            cell(path, 0, t)[inner], np.tile(ink, 3)[inner], atol=0.01
        )
        observed = np.where(hidden[..., None], drawing.BARS, 1 - batch.frames[0, t])
        np.testing.assert_allclose(cell(path, 1, t)[inner], observed[inner], atol=0.01)
        # Predicted at t, and shown under frame t + 1.
        grey = 1 if t == 0 else 1 - predicted[t - 1, 0, 0, 0]
        np.testing.assert_allclose(cell(path, 2, t)[inner], grey, atol=0.01)
        if t > 0:
            np.testing.assert_allclose(
                cell(path, 3, t)[inner],
                np.tile(1 - batch.unoccluded[0, t], 3)[inner],
                atol=0.01,
            )
        # The bar of class 3, with a probability of 1 or 0.
        bar = cell(path, 4, t)[20, 11]
        true = np.array([0x21, 0x66, 0xAC]) / 255
        np.testing.assert_allclose(bar, [1, 1, 1] if t == 1 else true, atol=0.01)


def test_dataset_shows_frames_and_reconstructions(tmp_path, batch):
    path = show.dataset(tmp_path / "new" / "dataset.png", batch, n=2)
    reconstruction = np.tile(1 - batch.reconstruction[0, 4], 3)
    np.testing.assert_allclose(
        cell(path, 1, 4)[1:-1, 1:-1], reconstruction[1:-1, 1:-1], atol=0.01
    )
    few = size(path)
    all_of_them = size(show.dataset(path, batch))
    assert all_of_them[0] == few[0] and all_of_them[1] > few[1]


def test_animation_has_one_picture_a_second(tmp_path, batch):
    path = show.sequence(
        tmp_path / "sequence.gif",
        batch.frames[0],
        batch.frames[0],
        probabilities=np.full((5, 10), 0.1),
        title="Title",
    )
    with Image.open(path) as image:
        assert image.format == "GIF" and image.n_frames == 5
        for t in range(5):
            image.seek(t)
            assert image.info["duration"] == (2000 if t == 4 else 1000)


@pytest.mark.parametrize("suffix", ["pdf", "svg", "PNG"])
def test_other_formats(tmp_path, batch, suffix):
    path = show.sequence(tmp_path / f"sequence.{suffix}", batch.frames[0, ..., 0])
    start = path.read_bytes()[:5]
    assert start == {"pdf": b"%PDF-", "svg": b"<?xml", "PNG": b"\x89PNG\r"}[suffix]


def test_nothing_is_left_beside_the_file_and_a_failure_keeps_the_old_one(
    tmp_path, batch, monkeypatch
):
    path = tmp_path / "sequence.png"
    path.write_text("old")
    with monkeypatch.context() as patch:

        def savefig(figure, file, **kwargs):
            file.write(b"half")
            raise OSError("disk full")

        patch.setattr("matplotlib.figure.Figure.savefig", savefig)
        with pytest.raises(OSError, match="disk full"):
            show.sequence(path, batch.frames[0])
    assert path.read_text() == "old"
    show.sequence(path, batch.frames[0])
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in tmp_path.iterdir()] == ["sequence.png"]


def test_frames_of_another_size_have_no_bars(tmp_path):
    path = show.sequence(tmp_path / "sequence.png", np.zeros((2, 8, 8)))
    assert (cell(path, 0, 1)[2:-2, 2:-2] == 1).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_films_are_as_they_are_and_not_ink(tmp_path, channels):
    films = np.random.default_rng(0).random((2, 3, 32, 32, channels))
    path = show.sequence(tmp_path / "film.png", *films, ink=False)
    inner = np.s_[1:-1, 1:-1]
    colours = np.repeat(films, 3 // channels, axis=-1)
    for t in range(3):
        found, film = cell(path, 0, t)[inner], colours[0, t][inner]
        np.testing.assert_allclose(found, film, atol=0.01)
    found, film = cell(path, 1, 2)[inner], colours[1, 1][inner]
    np.testing.assert_allclose(found, film, atol=0.01)


def test_frames_in_colour(tmp_path):
    """They are no ink, and go together with none in grey."""
    films = np.random.default_rng(0).random((2, 3, 8, 8, 3))
    path, same = tmp_path / "film.png", tmp_path / "same.png"
    show.sequence(path, *films)
    show.sequence(same, *films, ink=False)
    assert path.read_bytes() == same.read_bytes()
    with Image.open(show.sequence(tmp_path / "film.gif", *films)) as animation:
        assert animation.n_frames == 3
    with pytest.raises(ValueError, match=r"`predicted` must .*\(3, 8, 8, 3\)"):
        show.sequence(path, films[0], films[1, ..., :1])
    with pytest.raises(ValueError, match=r"or \(T, H, W, 3\); got .* 2\)"):
        show.sequence(path, films[0, ..., :2])


@pytest.mark.parametrize("wide", [True, False])
def test_frames_keep_their_proportions(tmp_path, wide):
    """A square of 6 x 6 pixels, in the middle of frames of 12 x 48, is a square."""
    frames = np.zeros((2, 12, 48))
    frames[:, 3:9, 21:27] = 1
    frames = frames if wide else frames.swapaxes(1, 2)
    path = show.sequence(tmp_path / "sequence.png", frames)
    ink = cell(path, 0, 0).max(axis=-1) < 0.1
    assert ink.any(axis=0).sum() == ink.any(axis=1).sum() == 4  # of 32


def test_nothing_to_show_is_refused(tmp_path, batch):
    path = tmp_path / "nothing.png"
    images, outputs = np.ones((2, 32, 32, 1)), explanation(2, 3)
    for n in (0, -1):
        with pytest.raises(ValueError, match="`n` must be an integer of at least 1"):
            show.groups(images, outputs, path, n=n)
        with pytest.raises(ValueError, match="`n` must be an integer of at least 1"):
            show.dataset(path, batch, n=n)
    with pytest.raises(ValueError, match="`images` must contain at least one image"):
        show.groups(images[:0], explanation(0, 3), path)
    with pytest.raises(ValueError, match="`film` must contain at least one image"):
        show.video(images[:0], explanation(1, 3), path)
    with pytest.raises(ValueError, match="`observed` must contain at least one image"):
        show.sequence(path, images[:0])
    assert not path.exists()
    show.sequence(path, images[:1], images[:0])  # which has no next frame


def test_bad_arguments(tmp_path, batch):
    frames = batch.frames[0]
    path = tmp_path / "sequence.png"
    for arguments, options, message in [
        ((path, frames[0, ..., 0]), {}, r"`observed` must have shape \(T, H, W\)"),
        (
            (path, frames, frames[:3]),
            {},
            r"`predicted` must .*\(5, 32, 32\) or \(4, 32",
        ),
        ((path, frames), {"unoccluded": frames[1:]}, "`unoccluded` must have shape"),
        ((path, frames), {"probe": frames[:, :9]}, "`probe` must have shape"),
        ((path, frames), {"probabilities": np.ones((4, 10))}, r"\(5, classes\)"),
        ((tmp_path / "sequence.jpg", frames), {}, "must end in .png, .pdf or .svg"),
    ]:
        with pytest.raises(ValueError, match=message):
            show.sequence(*arguments, **options)
    with pytest.raises(ValueError, match="must end in .png"):
        show.dataset(tmp_path / "dataset.gif", batch)
    assert not list(tmp_path.iterdir())


def test_piano_roll_is_written_and_bad_shapes_are_refused(tmp_path):
    roll = np.zeros((30, 88), "uint8")
    roll[4:9, 39] = roll[10:, 60] = 1
    path = show.piano_roll(tmp_path / "roll.png", roll, roll * 0.7, 10, "A title")
    plain = show.piano_roll(tmp_path / "plain.png", roll)
    assert size(path)[0] == size(plain)[0] and size(path)[1] > size(plain)[1]
    silent = show.piano_roll(tmp_path / "silent.png", roll * 0)
    assert size(silent) == size(plain)
    with pytest.raises(ValueError, match="`roll` must have shape"):
        show.piano_roll(tmp_path / "no.png", roll[:, :80])
    with pytest.raises(ValueError, match="`probabilities` must have shape"):
        show.piano_roll(tmp_path / "no.png", roll, roll[:5])
    assert not (tmp_path / "no.png").exists()


def explanation(batch, steps, grid=(32, 32)):
    """Two groups: the left half and the right half, white and black."""
    pi = np.zeros((batch, steps, 2, *grid), "float32")
    pi[:, :, 0, :, :16] = pi[:, :, 1, :, 16:] = 1
    mu = np.zeros((batch, steps, 2, *grid, 1), "float32")
    mu[:, :, 0] = 1
    return {"groups": pi, "reconstructions": mu}


def test_groups_have_colours(tmp_path):
    images = np.ones((3, 32, 32, 1), "float32")
    path = show.groups(images, explanation(3, 2), tmp_path / "groups.png", n=1)
    found = cell(path, 1, 0)[1:-1, 1:-1]
    np.testing.assert_allclose(
        found[:, 0], np.tile(drawing.COLOURS[0], (30, 1)), atol=0.01
    )
    np.testing.assert_allclose(
        found[:, -1], np.tile(drawing.COLOURS[1], (30, 1)), atol=0.01
    )
    for row, grey in ((0, 1), (2, 1), (3, 0)):
        np.testing.assert_allclose(cell(path, row, 0)[1:-1, 1:-1], grey, atol=0.01)
    with pytest.raises(ValueError, match=r"`outputs\[.groups.\]` must have shape"):
        show.groups(images, explanation(2, 2), path)
    good = explanation(3, 2)
    for outputs, message in (
        ({"groups": good["groups"]}, r"\['reconstructions'\] missing"),
        (
            {**good, "reconstructions": explanation(3, 1)["reconstructions"]},
            r"must have shape \(3, 2, 2, 32, 32, 1\), like the groups",
        ),
        ({**good, "groups": 9 * good["groups"]}, "must be probabilities from 0 to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            show.groups(images, outputs, path)
    with pytest.raises(ValueError, match="`title` must be text; got 5"):
        show.video(images[:2], explanation(1, 2), path, title=5)


def test_a_film_and_what_is_predicted_of_it(tmp_path):
    film = np.zeros((3, 32, 32, 1), "float32")
    path = show.video(film, explanation(1, 4), tmp_path / "film.png")
    assert (cell(path, 1, 0) == 1).all()  # nothing is predicted of the first frame
    found = cell(path, 1, 1)[1:-1, 1:-1]
    np.testing.assert_allclose(
        found[:, 0], np.tile(drawing.COLOURS[0], (30, 1)), atol=0.01
    )
    np.testing.assert_allclose(found[:, -1], 0, atol=0.01)
    path = show.video(film, explanation(1, 4), tmp_path / "film.gif")
    with Image.open(path) as image:
        assert image.n_frames == 4


def whole(path):
    """The colours of the last picture of a file."""
    with Image.open(path) as image:
        image.seek(getattr(image, "n_frames", 1) - 1)
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_titles_are_not_cut_off(tmp_path, suffix):
    """All columns beside a title are white, however few pictures stand below it."""
    film = np.zeros((2, 32, 32))
    title = "A title that is longer than all the pictures below it are wide " * 2
    for path in (
        show.sequence(tmp_path / f"a{suffix}", film, title=title),
        show.video(film, explanation(1, 2), tmp_path / f"b{suffix}", title),
        show.piano_roll(tmp_path / "c.png", np.eye(88)[:4], title=title),
    ):
        image = whole(path)
        ink = (image < 128).all(axis=-1)[: int(drawing.DPI * 0.3)]
        columns = np.flatnonzero(ink.any(axis=0))
        assert columns[0] > 5 and columns[-1] < image.shape[1] - 5
        assert np.ptp(columns) > 8 * drawing.DPI


def has_bars(path, row=0):
    return np.isclose(cell(path, row, 0), drawing.BARS, atol=0.01).all(axis=-1).any()


def test_bars_are_where_the_data_show_them(tmp_path, batch):
    frames, clean = batch.frames[0], batch.unoccluded[0]
    path = tmp_path / "sequence.png"
    assert has_bars(show.sequence(path, frames, unoccluded=clean), 1)
    assert has_bars(show.sequence(path, frames, phase=2))
    assert not has_bars(show.sequence(path, frames))
    assert not has_bars(show.sequence(path, frames, unoccluded=clean, phase=None), 1)
    # A video of 32 x 32 that has nothing to do with the paper's.
    own = np.random.default_rng(0).random((2, 32, 32))
    assert not has_bars(show.sequence(path, own))
    assert not has_bars(show.sequence(path, own, unoccluded=own), 1)
    assert not has_bars(show.sequence(path, own[:, :8, :8], unoccluded=own[:, :8, :8]))
    with pytest.raises(ValueError, match="`phase` must be None for frames other than"):
        show.sequence(path, own[:, :8], phase=2)
    with pytest.raises(ValueError, match="`phase` must be an integer from 0 to 11"):
        show.sequence(path, own, phase=12)
    other = make_sequences(
        batch.digits, batch.labels, np.random.default_rng(0), phase=8
    )
    path = show.sequence(path, other.frames[0], phase=8)
    found = np.isclose(cell(path, 0, 0), drawing.BARS, atol=0.01).all(axis=-1)
    inner = np.s_[1:-1, 1:-1]
    np.testing.assert_array_equal(found[inner], (visibility(8) == 0)[inner])


def test_values_that_are_no_pixels_are_refused(tmp_path, batch):
    path = tmp_path / "sequence.png"
    frames = batch.frames[0]
    for bad, message in (
        (255 * frames, r"must have pixels in \[0, 1\]; got 0 to .*Divide 8-bit"),
        ((255 * frames).astype("uint8"), r"must have pixels in \[0, 1\]; got 0 to 2"),
        (frames - 1, r"must have pixels in \[0, 1\]; got -1 to"),
        (np.where(frames > 0.6, np.nan, frames), "must have finite pixels; got NaN"),
    ):
        for name in ("observed", "predicted", "unoccluded", "probe"):
            with pytest.raises(ValueError, match=f"`{name}` {message}"):
                show.sequence(path, **({"observed": frames} | {name: bad}))
        outputs = explanation(5, 2)
        with pytest.raises(ValueError, match=f"`images` {message}"):
            show.groups(bad, outputs, path)
        with pytest.raises(ValueError, match=f"`film` {message}"):
            show.video(bad, explanation(1, 2), path)
    for name in ("groups", "reconstructions"):
        outputs = explanation(5, 2)
        outputs[name][0, 0, 0, 3, 4] = np.nan
        with pytest.raises(ValueError, match="`outputs` must be finite; got NaN"):
            show.groups(frames, outputs, path)
    assert not path.exists()


def test_labels_and_probabilities_are_checked(tmp_path, batch):
    path, frames = tmp_path / "sequence.png", batch.frames[0]
    even = np.full((5, 10), 0.1)
    for label in (99, 10, -1, 3.0, "3"):
        with pytest.raises(ValueError, match="`label` must be an integer from 0 to 9"):
            show.sequence(path, frames, probabilities=even, label=label)
    for bad in (even - 1, 20 * even, np.where(np.eye(5, 10), np.nan, even)):
        with pytest.raises(ValueError, match="`probabilities` must be from 0 to 1"):
            show.sequence(path, frames, probabilities=bad)
    roll = np.zeros((4, 88))
    with pytest.raises(ValueError, match="`probabilities` must be from 0 to 1"):
        show.piano_roll(path, roll, roll + 2)
    with pytest.raises(ValueError, match="`roll` must have numbers; got NaN"):
        show.piano_roll(path, roll * np.nan)
    with pytest.raises(ValueError, match="`prompt` must be an integer from 0 to 4"):
        show.piano_roll(path, roll, prompt=5)
    assert not path.exists()


def test_axes_of_a_piano_roll_are_pitch_and_time(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(keys, "_write_figure", lambda path, f: figures.append(f))
    roll = np.eye(88)[:24]
    show.piano_roll(tmp_path / "a.png", roll)
    show.piano_roll(tmp_path / "a.png", roll, roll)
    for figure in figures:
        assert {axes.get_ylabel() for axes in figure.axes} == {"pitch"}
        assert figure.axes[-1].get_xlabel() == "time step"
    names = [axes.get_title(loc="left") for axes in figures[1].axes]
    assert names == ["Notes", "Predicted"]
