"""Datasets of the experiments, and your own videos and MIDI files as datasets."""

from zoo.data.chains import gaussian_chain
from zoo.data.digits.moving import moving_mnist
from zoo.data.digits.occluded import occluded_mnist
from zoo.data.digits.prediction import moving_mnist_prediction
from zoo.data.digits.sources import load_digits
from zoo.data.digits.textured import textured_mnist
from zoo.data.digits.textures import load_textures
from zoo.data.music.corpora import load_corpus
from zoo.data.music.rolls import piano_rolls
from zoo.data.videos.arrays import from_arrays
from zoo.data.videos.files import from_folder

__all__ = [
    "from_arrays",
    "from_folder",
    "gaussian_chain",
    "load_corpus",
    "load_digits",
    "load_textures",
    "moving_mnist",
    "moving_mnist_prediction",
    "occluded_mnist",
    "piano_rolls",
    "textured_mnist",
]
