"""Pictures of data and of model predictions, as in Figs. 2, 4, 6 and 7.

Pictures have black ink on white, as in the paper, except for colour frames and groups.
The functions use matplotlib's `Figure` objects, so that they open no window and change
no global state. They import matplotlib and Pillow only when they are called.
"""

from zoo.show.films import dataset, sequence
from zoo.show.keys import piano_roll
from zoo.show.masks import groups, video

__all__ = ["dataset", "groups", "piano_roll", "sequence", "video"]
