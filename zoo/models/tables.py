"""Parts of a table of levels: numbers of channels, and pooling rows.

Tables 5 to 9 are functions in the files of their models: `table_5`, ..., `table_9`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras.layers import AveragePooling2D, MaxPooling2D

from rladder_keras import Level
from rladder_keras.validation import is_number
from rladder_keras.wiring import as_level

# A table of the paper: a function from `width` to a list of levels, bottom row first.
Table = Callable[..., list[Level]]
# The builders of the compiled models of a table, by the label of the row.
Builders = dict[str, Callable[..., keras.Model]]

# With padding "same", a grid with odd sides, which the paper's frames do not have,
# keeps its last cells, and decoders can undo the pooling. Channels are last, regardless
# of Keras' configuration.
LAST = {"data_format": "channels_last"}
SAME = {"padding": "same", **LAST}
MaxPool = partial(MaxPooling2D, **SAME)
AveragePool = partial(AveragePooling2D, **SAME)


def channels(width: float, n: int) -> int:
    """Return `n` channels, scaled by `width` and rounded, at least 1."""
    if not is_number(width) or width <= 0:
        raise ValueError(
            f"`width` must be a number above 0; got {width!r}. Choose a factor such as "
            "0.5."
        )
    return max(1, round(width * n))


def rows(table: Table, width: float, **kwargs: Any) -> list[Level]:
    """Return the levels of a table at a width."""
    if not callable(table):
        raise ValueError(
            "`table` must be a function from `width` to a list of Level, such as "
            f"`zoo.occluded_mnist.small_table`; got {table!r}. Pass the function "
            "itself, or a custom one: `def table(width): return [...]`."
        )
    levels = table(width, **kwargs)
    if not isinstance(levels, (list, tuple)) or not levels:
        raise ValueError(
            f"`table` must return a list of Level; got {levels!r}. Return the rows as "
            "[Level(encoder, decoder), ...]."
        )
    return [as_level(l, level) for l, level in enumerate(levels)]
