"""Pictures of data and of what a model makes of them, as in Figs. 2, 4, 6 and 7.

Ink is black on white, as in the paper, except where frames or groups have colours.
matplotlib is used through its `Figure` objects: no window is opened, and no global
state is touched. matplotlib and Pillow are imported only where a picture is made.
"""

from zoo.show.films import dataset, sequence
from zoo.show.keys import piano_roll
from zoo.show.masks import groups, video

__all__ = ["dataset", "groups", "piano_roll", "sequence", "video"]
