"""The models of Recurrent Ladder Networks (Premont-Schwarz et al., 2017)."""

import sys
from typing import Any

from zoo import listing as listing  # first: prints `--help` before Keras is imported
from zoo import onednn as onednn  # before Keras imports TensorFlow

from rladder_keras import __version__  # isort: skip
from zoo import data, models, show
from zoo.models.frame_prediction import (
    moving_mnist_convlstm,
    moving_mnist_predictor,
)
from zoo.models.mean_teacher import MeanTeacher
from zoo.models.moving_mnist import moving_mnist_rtagger, moving_mnist_tagger
from zoo.models.music import (
    polyphonic_music_frequency,
    polyphonic_music_gru,
    polyphonic_music_lstm,
    polyphonic_music_repeat,
    polyphonic_music_rladder,
)
from zoo.models.occluded_mnist import (
    occluded_mnist_hierarchical_rnn,
    occluded_mnist_rladder,
    occluded_mnist_static_classifier,
    occluded_mnist_temporal_baseline,
)
from zoo.models.textured_mnist import (
    textured_mnist_convnet,
    textured_mnist_rtagger,
    textured_mnist_tagger,
)
from zoo.models.videos import rladder
from zoo.weights import list_models, list_weights

# The model modules are in `zoo.models`. The names `zoo.occluded_mnist`, `zoo.music` and
# so on are public, too, and saved models refer to them. `globals()` makes the attribute
# `zoo.occluded_mnist` work, `sys.modules` makes `import zoo.occluded_mnist` work.
for _name in models.__all__:
    globals()[_name] = sys.modules[f"zoo.{_name}"] = getattr(models, _name)

__all__ = [
    "MeanTeacher",
    "__version__",
    "data",
    "gaussian_chain",
    "hypermodel",
    "list_models",
    "list_weights",
    "moving_mnist_convlstm",
    "moving_mnist_predictor",
    "moving_mnist_rtagger",
    "moving_mnist_tagger",
    "music",
    "occluded_mnist_hierarchical_rnn",
    "occluded_mnist_rladder",
    "occluded_mnist_static_classifier",
    "occluded_mnist_temporal_baseline",
    "polyphonic_music_frequency",
    "polyphonic_music_gru",
    "polyphonic_music_lstm",
    "polyphonic_music_repeat",
    "polyphonic_music_rladder",
    "rladder",
    "show",
    "textured_mnist_convnet",
    "textured_mnist_rtagger",
    "textured_mnist_tagger",
]


def __getattr__(name: str) -> Any:
    if name == "hypermodel":  # only on demand: needs keras-tuner, which is optional
        from zoo.tuner import hypermodel

        return hypermodel
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")
