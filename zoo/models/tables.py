"""What all tables of levels are written with: channels, pooling rows."""

from functools import partial

from keras.layers import AveragePooling2D, MaxPooling2D

from rladder_keras.validation import is_number

# On odd sides, which the paper's frames do not have, what is left over is a block too:
# decoders can undo that. Channels are last, whatever the configuration of Keras says.
LAST = {"data_format": "channels_last"}


SAME = {"padding": "same", **LAST}


MaxPool = partial(MaxPooling2D, **SAME)


AveragePool = partial(AveragePooling2D, **SAME)


def channels(width, n):
    """`n` channels at that width."""
    if not is_number(width) or width <= 0:
        raise ValueError(f"`width` must be a number above 0; got {width!r}.")
    return max(1, round(width * n))


def rows(table, width, **kwargs):
    """The levels that a table has at that width."""
    if not callable(table):
        raise ValueError(
            "`table` must be a function from `width` to a list of Level, such as "
            f"`zoo.occluded_mnist.small_table`; got {table!r}. Give the function "
            "itself, or `def table(width): return [...]` with levels of your own."
        )
    return table(width, **kwargs)
