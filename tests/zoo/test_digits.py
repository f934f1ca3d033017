"""Digits: their sources, and the errors if a source is not available."""

import keras
import numpy as np
import pytest

from zoo.data.digits import sources as module
from zoo.data.digits.sources import Digits, Split, load_digits

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def no_cache():
    for loader in (module._load_file, module._download_mnist, module._load_sklearn):
        loader.cache_clear()


@pytest.fixture
def empty_machine(tmp_path, monkeypatch):
    """A machine without MNIST. Returns the folders of the data and of Keras."""
    monkeypatch.setenv("RLADDER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    return tmp_path / "data", tmp_path / "keras"


def arrays(train=60, test=12, **others):
    rng = np.random.default_rng(0)
    made = {
        "x_train": rng.integers(256, size=(train, 28, 28), dtype=np.uint8),
        "y_train": rng.integers(10, size=train, dtype=np.uint8),
        "x_test": rng.integers(256, size=(test, 28, 28), dtype=np.uint8),
        "y_test": rng.integers(10, size=test, dtype=np.uint8),
    }
    return {**made, **others}


def save(path, **others):
    made = arrays(**others)
    np.savez_compressed(path, **made)
    return made


def test_a_file_gives_means_of_blocks_and_three_disjoint_splits(tmp_path):
    made = save(tmp_path / "digits.npz")
    digits = load_digits(tmp_path / "digits.npz")
    assert "digits.npz" in digits.name
    assert [len(split.labels) for split in digits[1:]] == [50, 10, 12]
    np.testing.assert_array_equal(
        np.concatenate([digits.train.labels, digits.valid.labels]), made["y_train"]
    )
    np.testing.assert_array_equal(digits.test.labels, made["y_test"])
    x = made["x_train"] / 255
    for place, image in ((3, digits.train.images[3]), (52, digits.valid.images[2])):
        for i in range(14):
            for j in range(14):
                block = x[place, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                assert image[i, j] == pytest.approx(block.mean(), abs=1e-6)
    for split in digits[1:]:
        assert split.images.dtype == np.float32 and split.labels.dtype == np.int32
        assert split.images.min() >= 0 and split.images.max() <= 1


def test_the_same_source_gives_the_same_arrays_and_nobody_can_change_them(tmp_path):
    save(tmp_path / "digits.npz")
    first = load_digits(tmp_path / "digits.npz")
    second = load_digits(str(tmp_path / "digits.npz"))
    assert first.train.images is second.train.images
    with pytest.raises(ValueError, match="read-only"):
        first.train.images[0] = 0


def test_auto_falls_back_to_the_digits_of_scikit_learn(empty_machine):
    digits = load_digits("auto")
    assert digits is load_digits("sklearn")
    assert "scikit-learn" in digits.name
    counts = [np.bincount(split.labels, minlength=10) for split in digits[1:]]
    assert sum(counts).sum() == 1797
    for count, share in zip(counts, (2 / 3, 1 / 6, 1 / 6), strict=True):
        np.testing.assert_allclose(count / sum(counts), share, atol=0.01)
    images = np.concatenate([split.images for split in digits[1:]])
    assert images.shape == (1797, 14, 14) and images.dtype == np.float32
    assert images.min() == 0 and images.max() == 1
    assert len(np.unique(images.reshape(1797, -1), axis=0)) == 1797


def test_bilinear_enlargement_keeps_constants_and_ramps():
    enlarge = module._bilinear(8, 14)
    np.testing.assert_allclose(enlarge.sum(axis=1), 1)
    inner = (enlarge @ np.arange(8.0))[1:-1]
    np.testing.assert_allclose(np.diff(inner), 8 / 14)


def test_mnist_is_looked_for_in_the_data_folder_then_in_the_cache_of_keras(
    empty_machine,
):
    data, keras_home = empty_machine
    places = [
        keras_home / "datasets" / "mnist.npz",
        data / "mnist.npz",
        data / "mnist" / "mnist.npz",
    ]
    for place in places:  # each one goes before the one made earlier
        save(place)
        for source in ("mnist", "auto"):
            with pytest.raises(
                ValueError, match="60 . 12 digits.*Delete the file"
            ) as e:
                load_digits(source)
            assert str(e.value).startswith(str(place))


def test_mnist_is_downloaded_by_keras_where_it_is_not_here(empty_machine, monkeypatch):
    made = arrays()
    monkeypatch.setattr(
        keras.datasets.mnist,
        "load_data",
        lambda: (
            (made["x_train"], made["y_train"]),
            (made["x_test"], made["y_test"]),
        ),
    )
    digits = load_digits("mnist")
    assert digits.name == "MNIST"
    np.testing.assert_array_equal(digits.test.labels, made["y_test"])


def test_no_network(empty_machine, monkeypatch):
    def load_data():
        raise Exception("URL fetch failure: name not known")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", load_data)
    with pytest.raises(ConnectionError, match="URL fetch failure.*put mnist.npz into"):
        load_digits("mnist")


def test_no_scikit_learn(empty_machine, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(ImportError, match="install scikit-learn`, put mnist.npz"):
        load_digits("auto")


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="'sklearn' or .*; got .*digits.npz'"):
        load_digits(tmp_path / "digits.npz")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text", "npy", "pickle"])
def test_damaged_file(tmp_path, damage):
    path = tmp_path / "digits.npz"
    save(path)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[5000] ^= 255
        path.write_bytes(content)
    elif damage == "text":
        path.write_text("<html>404</html>")
    elif damage == "npy":
        with open(path, "wb") as file:
            np.save(file, np.zeros(3))
    else:
        save(path, x_train=np.array([None, "x"], dtype=object))
    with pytest.raises(ValueError, match="cannot be read .*damaged or incomplete"):
        load_digits(path)


def test_missing_keys(tmp_path):
    np.savez(tmp_path / "digits.npz", x_train=np.zeros(3), y_train=np.zeros(3))
    with pytest.raises(ValueError, match="lacks x_test, y_test"):
        load_digits(tmp_path / "digits.npz")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"x_train": np.zeros((60, 8, 8), np.uint8)}, r"x_train .*shape \(60, 8, 8\)"),
        ({"x_test": np.zeros((12, 28, 28), np.float32)}, "x_test .*type float32"),
        ({"x_train": np.ones((60, 28, 28), np.uint8)}, "x_train .*pixels of 0 and 1"),
        ({"y_train": np.zeros(59, np.uint8)}, "y_train .*each of the 60 images"),
        ({"y_test": np.zeros(12, np.float32)}, "y_test .*type float32"),
        ({"y_test": np.full(12, 10)}, "y_test .*labels from 10 to 10"),
        ({"y_test": np.full(12, -1)}, "y_test .*labels from -1 to -1"),
    ],
)
def test_wrong_arrays(tmp_path, wrong, message):
    save(tmp_path / "digits.npz", **wrong)
    with pytest.raises(ValueError, match=message):
        load_digits(tmp_path / "digits.npz")


def test_wrong_arguments():
    for side in (0, 14.5, "14"):
        with pytest.raises(ValueError, match="`side` must be an integer"):
            load_digits("sklearn", side)
    for source in (None, 5, (np.zeros((3, 28, 28), np.uint8), np.zeros(3, int))):
        with pytest.raises(ValueError, match="`source` must be a name, the path"):
            load_digits(source)


def test_mnist():
    path = module._find_mnist()
    if path is None:
        pytest.skip("MNIST is not on this machine; RLADDER_DATA_DIR names its folder")
    digits = load_digits("auto")
    assert digits.name == "MNIST"
    assert [len(split.labels) for split in digits[1:]] == [50_000, 10_000, 10_000]
    with np.load(path) as file:
        labels, images = file["y_train"], file["x_train"][[0, 49_999, 50_000]] / 255
    np.testing.assert_array_equal(digits.train.labels, labels[:50_000])
    np.testing.assert_array_equal(digits.valid.labels, labels[50_000:])
    means = images.reshape(3, 14, 2, 14, 2).mean(axis=(2, 4))
    ours = [digits.train.images[0], digits.train.images[-1], digits.valid.images[0]]
    np.testing.assert_allclose(ours, means, atol=1e-6)


# Other sizes


def same(a, b):
    pairs = zip(keras.tree.flatten(a), keras.tree.flatten(b), strict=True)
    return all(np.array_equal(*pair) for pair in pairs)


def test_smaller_digits_are_means_over_areas_and_larger_ones_are_smooth():
    rng = np.random.default_rng(0)
    split = Split(rng.random((3, 28, 28), np.float32), np.arange(3, dtype=np.int32))
    digits = Digits("some", split, split, split)
    assert same(load_digits(digits, 28)[1:], digits[1:])
    halved = load_digits(digits, 14).valid.images
    blocks = split.images.reshape(3, 14, 2, 14, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(halved, blocks, atol=1e-6)
    # 28 and 21 pixels both divide 84.
    fine = np.kron(split.images[0], np.ones((3, 3))).reshape(21, 4, 21, 4)
    smaller = load_digits(digits, 21).test.images
    np.testing.assert_allclose(smaller[0], fine.mean(axis=(1, 3)), atol=1e-6)
    larger = load_digits(digits, 56).train
    assert larger.images.shape == (3, 56, 56) and larger.images.dtype == np.float32
    assert same(larger.labels, split.labels)
    ramp = Split(np.tile(np.linspace(0, 1, 28), (1, 28, 1)), np.ones(1, int))
    larger = load_digits(Digits("ramp", ramp, ramp, ramp), 56).train.images
    finer = np.clip((np.arange(56) - 0.5) / 54, 0, 1)
    np.testing.assert_allclose(larger[0], np.tile(finer, (56, 1)), atol=1e-6)
    ones = Split(np.ones((1, 28, 28)), np.ones(1, int))
    for side in (9, 13, 27, 31, 56):
        images = load_digits(Digits("ones", ones, ones, ones), side).train.images
        np.testing.assert_allclose(images, 1, atol=1e-5)
        assert images.max() <= 1


def check_full(digits, made):
    x = np.concatenate([digits.train.images, digits.valid.images])
    np.testing.assert_array_equal(x, made["x_train"].astype(np.float32) / 255)
    np.testing.assert_allclose(digits.test.images, made["x_test"] / 255, rtol=1e-6)
    labels = np.concatenate([digits.train.labels, digits.valid.labels])
    np.testing.assert_array_equal(labels, made["y_train"])
    np.testing.assert_array_equal(digits.test.labels, made["y_test"])
    assert len(digits.valid.labels) == 10


def test_digits_of_a_file_have_all_their_pixels(tmp_path):
    made = save(tmp_path / "digits.npz")
    digits = load_digits(tmp_path / "digits.npz", 28)
    assert "digits.npz" in digits.name
    check_full(digits, made)
    small = load_digits(str(tmp_path / "digits.npz"), 14)
    assert same(small[1:], load_digits(tmp_path / "digits.npz")[1:])
    with pytest.raises(FileNotFoundError, match="existing .npz file; got .*none.npz"):
        load_digits(tmp_path / "none.npz", 28)


def test_mnist_keeps_its_pixels():
    if module._find_mnist() is None:
        pytest.skip("MNIST is not on this machine; RLADDER_DATA_DIR names its folder")
    mnist, full = load_digits("mnist"), load_digits("mnist", 28)
    assert [len(split.labels) for split in full[1:]] == [50_000, 10_000, 10_000]
    for split, small in zip(full[1:], mnist[1:], strict=True):
        blocks = split.images[:100].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
        np.testing.assert_allclose(blocks, small.images[:100], atol=1e-6)
        np.testing.assert_array_equal(split.labels, small.labels)
