"""Data of the experiments."""

from zoo.data.batches import occluded_mnist
from zoo.data.digits import load_digits
from zoo.data.gaussian_chain import gaussian_chain
from zoo.data.moving_mnist import moving_mnist
from zoo.data.music import load_corpus
from zoo.data.rolls import piano_rolls
from zoo.data.textured_mnist import textured_mnist
from zoo.data.textures import load_textures
from zoo.data.video_files import from_folder
from zoo.data.videos import from_arrays

__all__ = [
    "from_arrays",
    "from_folder",
    "gaussian_chain",
    "load_corpus",
    "load_digits",
    "load_textures",
    "moving_mnist",
    "occluded_mnist",
    "piano_rolls",
    "textured_mnist",
]
