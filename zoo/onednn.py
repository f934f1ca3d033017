"""oneDNN, a library of fast convolutions, in TensorFlow on CPUs.

Why this module exists: TensorFlow uses oneDNN by default only on some processors, and
it decides when it is imported. On a processor without AVX512 instructions, training on
images is 1.1 to 1.9 times as fast with oneDNN. Training on music, whose convolutions
are small, is slower. `zoo` imports this module before Keras, and the last lines turn
oneDNN on for the commands that train on images. Other programs can set the environment
variable `TF_ENABLE_ONEDNN_OPTS=1`, see docs/guides/speed.md.
"""

import os
from collections.abc import Sequence

from zoo.arguments import module_to_run

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"
OF_IMAGES = {"table-1", "table-2", "table-4", "section-4.3", "moving-mnist"}


def trains_on_images(module: str | None, arguments: Sequence[str]) -> bool:
    """Return whether a module run with `-m` trains on images.

    Args:
        module: Name of the module, or `None`.
        arguments: Its command-line arguments.
    """
    tables = OF_IMAGES.intersection(arguments[:1])
    return module == "zoo.demo" or (module == "zoo.reproduce" and bool(tables))


if trains_on_images(*module_to_run()):
    os.environ.setdefault(VARIABLE, "1")
