"""Type aliases for the annotations of `rladder_keras` and `zoo`.

Keras has no type stubs, and a tensor has another class on each backend. These aliases
therefore name what an argument is; they do not restrict it.
"""

from typing import Any, Literal

# A tensor of the backend, a `keras.KerasTensor` or a NumPy array.
Tensor = Any

# Sizes of the axes of a tensor: integers, and `None` for sizes that are not known. Not
# `int | None`, because most code computes with sizes that are always known.
Shape = tuple[Any, ...]

# One shape, or a list of shapes for a layer that takes a list of tensors.
Shapes = Any

# State of a recurrent cell: a list of tensors, or of nested lists of tensors.
State = list[Any]

# Kernel size or strides: one integer, or one integer for each spatial axis.
Size = int | tuple[int, ...]

# Configuration of a layer, as `get_config` returns it.
Config = dict[str, Any]

# Decoder-to-encoder connections, see `LadderCell`.
Feedback = Literal["recurrent", "all", "none"]

# Normalisation inside a cell; `None` for no normalisation.
Normalization = Literal["layer", "batch"] | None

# How the loop over time runs, see `RecurrentLadder`.
Unroll = bool | Literal["auto"]
