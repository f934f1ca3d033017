"""Datasets of your own videos, from arrays or from a folder of files."""

from zoo.data.videos.arrays import Videos, from_arrays
from zoo.data.videos.files import from_folder

__all__ = ["Videos", "from_arrays", "from_folder"]
