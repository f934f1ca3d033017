"""Tests of Brodatz-textured MNIST against the text of Section 4.2."""

import functools
import time

import keras
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from zoo.data.digits.patches import Crops, cut, draw_crops, thick_masks
from zoo.data.digits.sources import Digits, Split, data_dir
from zoo.data.digits.textured import TexturedMNIST, textured_mnist
from zoo.data.digits.textures import (
    ALBUM,
    Textures,
    equalise,
    generate,
    load_textures,
    read_grey,
    regions,
)

pytestmark = pytest.mark.once

generated = functools.cache(generate)


def make_digits(n=40, seed=0, side=28):
    """A blob of ink for each digit, and as many digits of each class."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.random((n, side, side)), (0, 1, 1))
    noise *= np.hanning(side)[:, None] * np.hanning(side)
    images = noise / noise.max(axis=(1, 2), keepdims=True)
    labels = rng.permutation(np.arange(n) % 10)
    return Split(images.astype(np.float32), labels.astype(np.int32))


def small_digits():
    return Digits("small", make_digits(60, 1), make_digits(20, 2), make_digits(20, 3))


def make_textures(n=5, rows=90, columns=100):
    return np.random.default_rng(0).random((n, rows, columns)).astype(np.float32)


def make(batch_size=8, n=40, **options):
    digits = make_digits(n)
    return TexturedMNIST(*digits, make_textures(), batch_size, size=24, **options)


def same(a, b):
    return all(
        np.array_equal(left, right)
        for left, right in zip(
            keras.tree.flatten(a), keras.tree.flatten(b), strict=True
        )
    )


def save_images(folder, side=160, n=3, suffixes=(".png",), change=None):
    """Images of noise; `change` alters a part of them, given as a tuple of slices."""
    folder.mkdir()
    rng, other = np.random.default_rng(0), np.random.default_rng(1)
    for i in range(n):
        grey = rng.integers(256, size=(side, side), dtype=np.uint8)
        if change is not None:
            grey[change] = other.integers(256, size=grey[change].shape)
        Image.fromarray(grey).save(folder / f"{i}{suffixes[i % len(suffixes)]}")
    return folder


@pytest.fixture
def empty_machine(tmp_path, monkeypatch):
    """A machine without the album and without MNIST."""
    monkeypatch.setenv("RLADDER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "data"


# Textures


def check(textures, n, size, side):
    rows = round(side * 9 / 16)
    assert textures.train.shape == (n, rows, side)
    assert textures.valid.shape == (n, side - rows, side // 2) == textures.test.shape
    for part in textures[1:]:
        assert part.dtype == np.float32 and not part.flags.writeable
        assert part.min() >= 0 and part.max() <= 1
        np.testing.assert_allclose(part.mean(axis=(1, 2)), 0.5, atol=1e-3)
        np.testing.assert_allclose(part.std(axis=(1, 2)), 0.2, atol=1e-3)


@pytest.mark.parametrize(("size", "side"), [(24, 160), (32, 213)])
def test_generated_textures(size, side, empty_machine):
    textures = load_textures(size=size)
    assert textures.name == "20 generated textures"
    check(textures, 20, size, side)
    assert load_textures("generated", size) is textures


def test_generated_textures_are_always_the_same_and_differ_from_each_other():
    scans = generate(64)
    assert same(scans, generate(64))
    scans = np.stack([equalise(scan).ravel() for scan in generated()])
    assert (abs(np.corrcoef(scans)) - np.eye(20)).max() < 0.5


def test_random_textures_do_not_go_on_in_another_split():
    """Opposite sides of a scan, which lie in different splits, are not alike."""
    regular = {7, 10, 11, 12, 13, 14, 15}  # gratings, lattices, bricks
    for i in set(range(20)) - regular:
        train, valid, test = regions(generated()[i])
        n = valid.shape[1]
        for name, a, b in (
            ("train and valid", train[0, :n], valid[-1]),
            ("train and test", train[0, -n:], test[-1]),
            ("valid and test", valid[:, 0], test[:, -1]),
        ):
            if a.std() and b.std():  # stripes are of one grey along their length
                correlation = np.corrcoef(a, b)[0, 1]
                assert abs(correlation) < 0.5, f"texture {i}, {name}: {correlation:.3f}"


def test_album():
    if data_dir() is None or not (data_dir() / "brodatz").is_dir():
        pytest.skip("no folder 'brodatz' where RLADDER_DATA_DIR says")
    assert len(set(ALBUM)) == 20
    textures = load_textures(size=96)
    assert textures.name == "20 Brodatz textures"
    check(textures, 20, 96, 640)
    assert load_textures("brodatz", 96) is textures
    some = load_textures("D6,D21", 96)
    assert some.name == "2 Brodatz textures"
    np.testing.assert_array_equal(some.valid, textures.valid[[1, ALBUM.index("D21")]])
    # At 96 pixels, where nothing is resized, the first texture is the file itself.
    raw = read_grey(data_dir() / "brodatz" / "D5.gif")[:360]
    assert np.corrcoef(raw.ravel(), textures.train[0].ravel())[0, 1] > 0.99


def test_an_album_without_all_scans(empty_machine):
    with pytest.raises(FileNotFoundError, match="got no such folder. Put its scans"):
        load_textures("brodatz")
    with pytest.raises(FileNotFoundError, match="got no such folder. Put its scans"):
        load_textures("D6,D21")
    (empty_machine / "brodatz").mkdir(parents=True)
    for title in ALBUM[2:]:
        (empty_machine / "brodatz" / f"{title}.gif").touch()
    for source in ("auto", "brodatz"):
        with pytest.raises(FileNotFoundError, match="lacks D5.gif, D6.gif. Put"):
            load_textures(source)


def test_a_folder_of_images(tmp_path):
    suffixes = (".png", ".JPG", ".gif", ".tif")
    folder = save_images(tmp_path / "own", 120, 4, suffixes)
    colours = np.random.default_rng(1).integers(256, size=(150, 100, 3), dtype=np.uint8)
    Image.fromarray(colours).save(folder / "colours.jpeg")
    (folder / "notes.txt").write_text("no image")
    textures = load_textures(folder, 24)
    assert textures.name == f"5 textures of {folder}"
    check(textures, 5, 24, 160)


def test_deep_greys_are_not_cut_off(tmp_path):
    grey = np.arange(6400, dtype=np.uint16).reshape(80, 80)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_grey(tmp_path / "deep.png"), grey)


@pytest.mark.parametrize("side", [160, 120, 213])
def test_no_pixel_of_a_scan_is_in_two_splits(side, tmp_path):
    border, middle = round(side * 9 / 16), side // 2
    before = load_textures(save_images(tmp_path / "before", side), 24)
    for name, change in {
        "train": np.s_[:border],
        "valid": np.s_[border:, :middle],
        "test": np.s_[border:, side - middle :],
    }.items():
        folder = save_images(tmp_path / name, side, change=change)
        after = load_textures(folder, 24)
        for split in ("train", "valid", "test"):
            equal = same(getattr(before, split), getattr(after, split))
            assert equal == (split != name)


def test_regions_cover_a_scan():
    scan = np.arange(160 * 160).reshape(160, 160)
    parts = np.concatenate([part.ravel() for part in regions(scan)])
    np.testing.assert_array_equal(np.sort(parts), scan.ravel())


def test_bad_folders(tmp_path):
    def refuse(error, message, source=tmp_path / "bad", size=24):
        with pytest.raises(error, match=message):
            load_textures(source, size)

    refuse(FileNotFoundError, "'auto', 'brodatz', .* an existing folder .*bad'")
    refuse(FileNotFoundError, "titles such as 'D6,D21'.*granite'", "granite")
    refuse(ValueError, "'D6, D6' names one twice", "D6, D6")
    refuse(ValueError, "`size` must be an integer of at least 24", "auto", 16)
    folder = save_images(tmp_path / "bad", n=1)
    refuse(ValueError, r"bad must contain .* got 1 image\(s\). Add images")
    (folder / "1.png").write_bytes((folder / "0.png").read_bytes()[:5000])
    refuse(ValueError, "1.png must be an image; .* cannot be read .* Replace it")
    (folder / "1.png").write_text("hello")
    refuse(ValueError, "1.png must be an image; it cannot be read as an image")
    Image.new("L", (200, 79)).save(folder / "1.png")
    refuse(ValueError, "1.png .* 80 x 80 pixels .* too small, 79 x 200 pixels. Remove")
    Image.new("L", (160, 160), 77).save(folder / "1.png")
    refuse(ValueError, "1.png must be a .*; one part of it has a single grey value")
    nan = np.full((160, 160), np.nan, np.float32)
    Image.fromarray(nan).save(folder / "1.tif")
    (folder / "1.png").unlink()
    refuse(ValueError, "1.tif must have finite pixels; got NaN")


# Crops


def slow_crop(texture, angle, scale, row, column, size):
    """The same by SciPy, which gives NaN beyond the edges."""
    i, j = np.mgrid[:size, :size] - (size - 1) / 2
    y = (np.cos(angle) * i - np.sin(angle) * j) / scale
    x = (np.sin(angle) * i + np.cos(angle) * j) / scale
    y += 0.01 - y.min() + row * (len(texture) - 1.02 - np.ptp(y))
    x += 0.01 - x.min() + column * (texture.shape[1] - 1.02 - np.ptp(x))
    return ndimage.map_coordinates(texture, [y, x], order=1, cval=np.nan)


def test_crops_equal_their_slow_twins_and_keep_within_their_textures():
    textures = make_textures(3, 70, 80).astype(np.float64)
    rng = np.random.default_rng(1)
    crops = draw_crops(40, 3, rng)
    # The largest crops, turned to where they need most room, in all corners.
    crops.angle[:20, 0] = np.pi / 4 * np.arange(1, 21)
    crops.scale[:20] = 0.5
    crops.row[:20] = np.arange(40).reshape(20, 2) % 2
    crops.column[:20] = np.arange(40).reshape(20, 2) // 2 % 2
    made = cut(textures.astype(np.float32), crops, 24)
    assert made.shape == (40, 2, 24, 24) and made.dtype == np.float32
    for place in np.ndindex(40, 2):
        texture, *others = (drawn[place] for drawn in crops)
        slow = slow_crop(textures[texture], *others, 24)
        assert np.isfinite(slow).all()
        np.testing.assert_allclose(made[place], slow, atol=1e-3)


def test_the_largest_crops_fit_for_every_size():
    zeros, ones = np.zeros(8, int), np.ones(8)
    angle = np.pi / 4 * np.arange(8)
    for size in range(24, 128):
        side = round(size * 20 / 3)
        for part in regions(np.ones((side, side), np.float32)):
            digits = make_digits(2)
            TexturedMNIST(*digits, np.stack([part, part]), size=size)
            if size % 20 == 4:
                crops = Crops(zeros, angle, 0.5 * ones, ones, ones)
                assert (cut(part[None], crops, size) == 1).all()


def test_draws():
    crops = draw_crops(20_000, 20, np.random.default_rng(0))
    foreground, background = crops.texture.T
    assert (foreground != background).all()
    pairs = np.bincount(foreground * 20 + background, minlength=400).reshape(20, 20)
    np.testing.assert_allclose(pairs[~np.eye(20, dtype=bool)], 52.6, atol=40)
    for drawn, low, high in [
        (crops.angle, 0, 2 * np.pi),
        (crops.scale, 0.5, 1.5),
        (crops.row, 0, 1),
        (crops.column, 0, 1),
    ]:
        assert drawn.min() >= low and drawn.max() < high
        quarters = np.quantile(drawn, [0.25, 0.5, 0.75], axis=0)
        wanted = low + (high - low) * np.array([0.25, 0.5, 0.75])
        np.testing.assert_allclose(quarters, np.stack([wanted] * 2, 1), atol=0.1)


def test_upright_crops_are_parts_of_the_textures():
    samples = make(upright=True).samples(0)
    assert not samples.crops.angle.any() and (samples.crops.scale == 1).all()
    for i, crop in enumerate(samples.background):
        texture = make_textures()[samples.crops.texture[i, 1]]
        row, column = samples.crops.row[i, 1], samples.crops.column[i, 1]
        # Half a crop from the border, and a hundredth of a pixel for rounding.
        y, x = 0.01 + row * (90 - 24.02), 0.01 + column * (100 - 24.02)
        grid = np.mgrid[:24, :24] + np.array([y, x])[:, None, None]
        expected = ndimage.map_coordinates(texture, grid, order=1)
        np.testing.assert_allclose(crop, expected, atol=1e-4)


def test_thickness_is_checked():
    with pytest.raises(ValueError, match="`thickness` must be an integer of"):
        make(thickness=-1)


# Masks


@pytest.mark.parametrize(
    ("size", "thickness", "radius"),
    [(96, None, 3), (32, None, 1), (24, None, 1), (32, 2, 2), (32, 0, 0)],
)
def test_masks_equal_their_slow_twins(size, thickness, radius):
    digits = make_digits(6).images
    textures = make_textures(3, 3 * size, 4 * size)
    labels = np.zeros(6, int)
    data = TexturedMNIST(digits, labels, textures, 6, size=size, thickness=thickness)
    masks = data.samples(0).masks
    np.testing.assert_array_equal(masks, thick_masks(digits, size, radius))
    assert masks.shape == (6, size, size) and masks.dtype == bool
    inner = size * 7 // 8
    first = (size - inner) // 2
    disc = np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) <= radius
    for digit, mask in zip(digits, masks, strict=True):
        if inner > 28:
            how = Image.Resampling.BILINEAR
            large = np.asarray(Image.fromarray(digit).resize((inner, inner), how))
        else:  # means over areas
            fine = digit.repeat(inner, axis=0).repeat(inner, axis=1)
            large = fine.reshape(inner, 28, inner, 28).mean(axis=(1, 3))
        slow = np.zeros((size, size), bool)
        slow[first : first + inner, first : first + inner] = large > large.max() / 2
        slow = ndimage.binary_dilation(slow, disc)
        assert (mask != slow).mean() < 0.002
        assert 0 < mask.sum() < size**2


# Batches


@pytest.mark.parametrize("size", [24, 25, 96])
def test_batches(size):
    textures = make_textures(3, 3 * size, 4 * size)
    data = TexturedMNIST(*make_digits(20), textures, 8, size=size)
    x, y = data[0]
    assert x.shape == (8, size, size, 1) and x.dtype == np.float32
    assert x.min() >= 0 and x.max() <= 1
    assert set(y) == {"class", "groups"}
    assert y["class"].shape == (8,) and y["class"].dtype == np.int32
    assert y["groups"].shape == (8, size, size) and y["groups"].dtype == np.int32
    assert set(np.unique(y["groups"])) == {0, 1}
    assert [len(y["class"]) for _, y in data] == [8, 8, 4]
    assert same(data[-1], data[2])


def test_each_pixel_is_of_the_texture_that_its_segment_says():
    data = make()
    for index in range(len(data)):
        x, y = data[index]
        samples = data.samples(index)
        digit = y["groups"] == 1
        np.testing.assert_array_equal(digit, samples.masks)
        np.testing.assert_array_equal(x[digit, 0], samples.foreground[digit])
        np.testing.assert_array_equal(x[~digit, 0], samples.background[~digit])
        pair = cut(data.textures, samples.crops, 24)
        np.testing.assert_array_equal(samples.foreground, pair[:, 0])
        np.testing.assert_array_equal(samples.background, pair[:, 1])
        np.testing.assert_array_equal(y["class"], samples.labels)


def test_neither_brightness_nor_contrast_betrays_the_digit():
    digits, textures = make_digits(2000), load_textures("generated", 24).train
    samples = TexturedMNIST(*digits, textures, 2000, size=24).samples(0)
    inside, outside = samples.images[samples.masks], samples.images[~samples.masks]
    assert abs(inside.mean() - outside.mean()) < 0.01
    assert abs(inside.std() - outside.std()) < 0.01


def test_training_draws_depend_on_seed_and_epoch_alone():
    one, other = make(4, seed=7, fresh=True), make(4, seed=7, fresh=True)
    first = one[2]
    one.epoch = 3
    third = [one[i] for i in range(len(one))]
    one.epoch = 0
    assert same(one[2], first)
    other.epoch = 3
    for i in (5, 0, 6, 2):
        assert same(other[i], third[i])
    assert not same(third[2][0], first[0])
    assert not same(make(4, seed=8, fresh=True)[2][0], first[0])
    # Two batches of four are one batch of eight.
    for options in ({}, {"labelled": np.arange(10)}):
        small, large = (make(n, fresh=True, **options) for n in (4, 8))
        both = np.concatenate([small[0][0], small[1][0]])
        np.testing.assert_array_equal(both, large[0][0])


def test_training_uses_every_digit_once_and_leaves_out_the_last_part_of_a_batch():
    digits = Split(make_digits(30).images, np.arange(30))
    data = TexturedMNIST(*digits, make_textures(), 10, size=24, fresh=True)
    for _ in range(2):
        labels = np.concatenate([y["class"] for _, y in data])
        assert sorted(labels) == list(range(30)) and list(labels) != sorted(labels)
        data.on_epoch_end()
    assert data.epoch == 2
    data = make(16, fresh=True)
    assert len(data) == 2 and data.num_sequences == 32
    data = make(10, fresh=True, sequences=80)
    labels = np.concatenate([y["class"] for _, y in data])
    assert (np.bincount(labels) == 8).all()


def test_evaluation_is_always_the_same_in_the_order_of_the_digits():
    data = make(8)
    before = [data[i] for i in range(5)]
    data.on_epoch_end()
    data.epoch = 5
    assert all(same(data[i], before[i]) for i in range(5))
    labels = np.concatenate([y["class"] for _, y in before])
    np.testing.assert_array_equal(labels, data.labels)
    few = make(8, sequences=10)
    labels = np.concatenate([y["class"] for _, y in few])
    np.testing.assert_array_equal(labels, data.labels[::4])


def test_bad_arguments_of_batches():
    digits, textures = make_digits(30), make_textures()
    for options, message in [
        ({"batch_size": 0}, "`batch_size` must be an integer of at least 1"),
        ({"size": 16}, "`size` must be an integer of at least 24"),
        ({"size": 96}, r"at least 271 x 271 pixels .* 96 x 96; got 90 x 100"),
        ({"seed": -1}, "`seed` must be an integer of at least 0"),
        ({"sequences": 0}, "`sequences` must be an integer of at least 1"),
        ({"fresh": True, "batch_size": 31}, "got 31 for 30 images"),
        ({"labelled": [0, 30]}, "`labelled` must be a list of indices from 0 to 29"),
        ({"labelled": [0.5]}, "`labelled` must be a list of indices"),
        ({"labelled": [3]}, "`labelled` must be None with fresh=False"),
        (
            {"labelled": range(30), "fresh": True},
            "`labelled` must leave .*; got all 30 digits",
        ),
        (
            {"labelled": [3], "fresh": True, "batch_size": 5},
            "Choose a multiple of 2 as `batch_size`",
        ),
        ({"textures": textures[:1]}, "must be two or more textures of shape"),
        ({"textures": textures * 255}, "`textures` must have values from 0 to 1"),
        ({"images": digits.images[:, 1:]}, r"Digits must have shape \(n, side, side\)"),
        ({"images": digits.images * 255}, r"values from 0 \(background\) to 1 \(ink\)"),
        ({"labels": digits.labels[1:]}, "must be one integer for each of the 30 dig"),
    ]:
        arguments = {**digits._asdict(), "textures": textures, "size": 24, **options}
        with pytest.raises(ValueError, match=message):
            TexturedMNIST(**arguments)
    data = make(8)
    for index in (5, -6):
        with pytest.raises(IndexError, match=f"from -5 to 4; got {index}"):
            data[index]


# Labels


def test_half_of_each_batch_is_labelled():
    digits = Split(make_digits(50).images, np.arange(50))
    labelled = np.arange(0, 50, 5)
    data = TexturedMNIST(
        *digits, make_textures(), 10, size=24, fresh=True, labelled=labelled
    )
    used, others = [], []
    for x, y, weight in data:
        assert len(x) == 10 and set(weight) == {"class"}
        weight = weight["class"]
        assert weight.dtype == np.float32 and weight.shape == (10,)
        assert set(weight) == {0, 1} and weight.sum() == 5
        used += list(y["class"][weight == 1])
        others += list(y["class"][weight == 0])
    assert set(used) == set(labelled) and set(np.bincount(used)) <= {0, 2, 3}
    assert len(set(others)) == 25 and not set(others) & set(used)
    # The rest of the digits comes in other epochs, and the labelled ones stay.
    for _ in range(8):
        data.on_epoch_end()
        for _, y, weight in data:
            others += list(y["class"][weight["class"] == 0])
            assert set(y["class"][weight["class"] == 1]) <= set(labelled)
    assert data.epoch == 8 and len(set(others)) == 40


def test_no_labels_at_all():
    data = make(8, fresh=True, labelled=[])
    x, y, weight = data[0]
    np.testing.assert_array_equal(weight["class"], np.zeros(8))
    plain = make(8, fresh=True)[0]
    assert len(plain) == 2 and same((x, y), plain)


# The function


def test_textured_mnist(capsys):
    textures = load_textures("generated", 24)
    train, valid, test = textured_mnist(
        small_digits(), batch_size=8, size=24, textures=textures
    )
    assert capsys.readouterr().out == (
        "Textured MNIST of 24 x 24 from small and 20 generated textures: training 56, "
        "validation 20, test 20 images.\n"
    )
    assert [data.fresh for data in (train, valid, test)] == [True, False, False]
    for data, part in zip((train, valid, test), textures[1:], strict=True):
        np.testing.assert_array_equal(data.textures, part)
        assert data.digits_name == "small"
        assert data.textures_name == "20 generated textures"
    assert not same(valid.samples(0).crops, test.samples(0).crops)
    options = {"size": 24, "textures": textures, "seed": 5, "verbose": False}
    others = textured_mnist(small_digits(), 8, **options)
    assert capsys.readouterr().out == ""
    assert not same(others[0][0], train[0])
    assert same(others[1][0], valid[0]) and same(others[2][0], test[0])


def test_textured_mnist_merges_limits_and_labels(capsys):
    def make_sets(**others):
        options = {"size": 24, "textures": "generated", **others}
        return textured_mnist(small_digits(), 20, **options)

    train, valid, test = make_sets(
        sequences=80, evaluation_sequences=5, merge_validation=True, labelled=20
    )
    assert "20 x 24" not in capsys.readouterr().out
    assert train.images.shape == (80, 28, 28)
    np.testing.assert_array_equal(train.images[60:], small_digits().valid.images)
    assert [data.num_sequences for data in (train, valid, test)] == [80, 5, 5]
    assert (np.bincount(train.labels[train.labelled]) == 2).all()
    apart, valid, _ = make_sets(labelled=20, seed=0)
    assert "images, labelled digits 20." in capsys.readouterr().out
    np.testing.assert_array_equal(train.labelled, apart.labelled)
    assert len(train[0]) == 3 and len(valid[0]) == 2
    assert len(make_sets(labelled=0)[0][0]) == 3
    with pytest.raises(ValueError, match="`evaluation_sequences` must be an integer"):
        make_sets(evaluation_sequences=0)
    with pytest.raises(ValueError, match="`seed` must be an integer"):
        make_sets(labelled=20, seed=0.5)
    with pytest.raises(ValueError, match="Load them with the `size` of the images"):
        make_sets(size=32, textures=load_textures("generated", 24))


def test_textured_mnist_on_an_empty_machine(empty_machine, capsys):
    train, valid, test = textured_mnist(size=32)
    out = capsys.readouterr().out
    assert "the digits of scikit-learn and 20 generated textures" in out
    assert train[0][0].shape == (16, 32, 32, 1)


class LabelsOnly(TexturedMNIST):
    """Without what a classifier has no loss for."""

    def batch(self, index):
        x, y, weight = super().batch(index)
        return x, {"class": y["class"]}, weight


def fit(labelled):
    """Trains a linear classifier that starts at zero. Returns its kernel."""
    data = LabelsOnly(
        *make_digits(), make_textures(), 8, size=24, fresh=True, labelled=labelled
    )
    inputs = keras.Input((24, 24, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    dense = keras.layers.Dense(10, kernel_initializer="zeros", name="class")
    model = keras.Model(inputs, {"class": dense(pooled)})
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss={"class": loss})
    model.fit(data, epochs=2, verbose=0)
    assert data.epoch == 2
    return keras.ops.convert_to_numpy(dense.kernel)


@pytest.mark.everywhere
def test_fit_takes_the_batches_with_their_weights():
    assert (fit([]) == 0).all()
    digits = make_digits()
    labelled = np.flatnonzero(digits.labels < 3)
    kernel = fit(labelled)
    # Logits of classes that never come as labels only go down.
    assert (kernel[:, 3:] < 0).all() and (kernel[:, :3] > 0).any()


def test_drawing_is_fast():
    """Some 40,000 images of 32 x 32 a second; a fortieth of it is asked for."""
    textures = load_textures("generated", 32).train
    data = TexturedMNIST(*make_digits(1600), textures, size=32, fresh=True)
    data[0]
    start = time.process_time()
    for _ in data:
        pass
    assert 1600 / (time.process_time() - start) > 1000


def test_textures_that_are_given_are_used():
    parts = [make_textures(2, 90, 90) for _ in range(3)]
    sets = textured_mnist(
        small_digits(), size=24, textures=Textures("mine", *parts), verbose=False
    )
    assert {data.textures_name for data in sets} == {"mine"}
