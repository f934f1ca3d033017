"""Recurrent Ladder Networks (Premont-Schwarz et al., 2017) for Keras 3."""

from rladder_keras import _backend as _backend  # first: its check precedes Keras
from rladder_keras.cells.decoders import G1, ConvG1, ConvG2, ConvG3, Identity, TopDown
from rladder_keras.cells.encoders import Conv, Softmax
from rladder_keras.cells.gates import f, gate
from rladder_keras.cells.normalization import BatchNormalization
from rladder_keras.cells.recurrent import (
    ConvGRUCell,
    ConvLSTMCell,
    GRUCell,
    LSTMCell,
    StockCell,
)
from rladder_keras.export import export_step
from rladder_keras.ladder import LadderCell
from rladder_keras.mixture import MixtureCost, MixturePosterior
from rladder_keras.recurrence import RecurrentLadder
from rladder_keras.streaming import initial_state, step_model
from rladder_keras.tagger import TaggerCell
from rladder_keras.version import __version__ as __version__
from rladder_keras.wiring import Level

__all__ = [
    "BatchNormalization",
    "Conv",
    "ConvG1",
    "ConvG2",
    "ConvG3",
    "ConvGRUCell",
    "ConvLSTMCell",
    "G1",
    "GRUCell",
    "Identity",
    "LSTMCell",
    "LadderCell",
    "Level",
    "MixtureCost",
    "MixturePosterior",
    "RecurrentLadder",
    "Softmax",
    "StockCell",
    "TaggerCell",
    "TopDown",
    "export_step",
    "f",
    "gate",
    "initial_state",
    "step_model",
]
