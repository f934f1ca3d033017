"""Your own videos, from arrays and from folders of files."""

from zoo.data.videos.arrays import Videos, from_arrays
from zoo.data.videos.files import from_folder

__all__ = ["Videos", "from_arrays", "from_folder"]
