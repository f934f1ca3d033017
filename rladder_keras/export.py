"""Export of one iteration of a ladder, for runtimes without Keras."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import keras
from keras import tree

from rladder_keras.streaming import initial_state, step_model

# Format -> backends that can write it -> packages that Keras needs to do so.
FORMATS = {
    "tf_saved_model": {"tensorflow": ["tensorflow"], "jax": ["tensorflow"]},
    "onnx": {
        "tensorflow": ["onnx", "tf2onnx"],
        "torch": ["onnx", "onnxscript"],
    },
    "litert": {"tensorflow": ["tensorflow"]},
    "torch": {"torch": ["torch"]},
}


def export_step(
    model: keras.Model,
    path: str | os.PathLike[str],
    format: str = "onnx",
    batch_size: int = 1,
) -> tuple[list[str], list[str]]:
    """Write one iteration of a model of sequences as a file for another runtime.

    The exported graph is the graph of `step_model`, including the weights. It takes one
    frame and a state, and returns the outputs of the model and the next state. The
    graph contains no loop, so that the runtime can process sequences of any length
    frame by frame.

    Args:
        model: A functional `keras.Model` with one `RecurrentLadder`, see `step_model`.
        path: File to write; for `"tf_saved_model"`, a folder that does not exist yet.
        format: `"onnx"`, `"tf_saved_model"`, `"litert"` or `"torch"` (`.pt2`).
        batch_size: Number of sequences in a batch. It is fixed in the file.

    Returns:
        Two lists. The names of the inputs: the frame first, then `"state_00"`, ... The
        names of the outputs in alphabetical order, including `"next_state_00"`, ...
        Runtimes without names take inputs and return outputs in this order. The initial
        state is `initial_state(model, batch_size)`.

    Raises:
        ValueError: If the backend cannot write the format.
        ImportError: If the format needs a package that is not installed.
        FileExistsError: If `path` is an existing folder.

    Examples:
        >>> sequences = keras.Input((None, 6), name="frames")
        >>> ladder = RecurrentLadder([Level(LSTMCell(8))], iterations=1)
        >>> model = keras.Model(sequences, ladder(sequences)["top"])
        >>> inputs, outputs = export_step(model, "step.onnx")  # doctest: +SKIP
        >>> inputs, outputs  # doctest: +SKIP
        (['frames', 'state_00', 'state_01', 'state_02'],
         ['next_state_00', 'next_state_01', 'next_state_02', 'output'])
        >>> export_step(model, "step.pb", format="protobuf")
        Traceback (most recent call last):
            ...
        ValueError: `format` must be one of tf_saved_model, onnx, litert, torch; ...
    """
    check_format(format)
    path = Path(path)
    if path.is_dir():
        raise FileExistsError(
            f"`path` must not be an existing folder; got {path}. Choose another path."
        )
    graph, specs = step_graph(model, batch_size)
    names = [spec.name for spec in specs], sorted(graph.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        whole = Path(folder, path.name)
        # Keras requires the file endings of two formats.
        written = whole.with_suffix(ENDINGS.get(format, whole.suffix))
        graph.export(str(written), format, verbose=False, input_signature=[specs])
        if format == "onnx" and keras.backend.backend() == "torch":
            name_outputs(written, names[1])
        os.replace(written, path)
    return names


ENDINGS = {"litert": ".tflite", "torch": ".pt2"}


def name_outputs(path: Path, names: Iterable[str]) -> None:
    """Rename the outputs of an ONNX file; torch does not keep their names."""
    import onnx

    model = onnx.load(path)
    for output, name in zip(model.graph.output, names, strict=True):
        model.graph.node.add(op_type="Identity", input=[output.name], output=[name])
        output.name = name
    onnx.save(model, path)


def check_format(format: str) -> None:
    """Raise an error if this backend or this installation cannot write a format."""
    if format not in FORMATS:
        raise ValueError(
            f"`format` must be one of {', '.join(FORMATS)}; got {format!r}. Choose one "
            "of these."
        )
    backend, able = keras.backend.backend(), FORMATS[format]
    if backend not in able:
        raise ValueError(
            f"`format` must be one that the {backend} backend can write; got "
            f"{format!r}. Save the model, and load it with "
            f"KERAS_BACKEND={' or '.join(able)} to export it."
        )
    for package in able[backend]:
        try:
            __import__(package)
        except ImportError as error:
            raise ImportError(
                f"The package {package} must be installed to write {format!r} with the "
                f"{backend} backend; got no such package. Run pip install {package}."
            ) from error


def step_graph(model: keras.Model, batch_size: int) -> tuple[keras.Model, list]:
    """Return `step_model` with flat inputs and outputs, and the specifications of the
    inputs.

    The outputs become a dictionary, because not all formats support nested outputs.
    """
    step, state = step_model(model), initial_state(model, batch_size)
    inputs, (outputs, following) = tree.flatten(step.input), step.output
    if not isinstance(outputs, dict):
        outputs = {"output": outputs}
    frames = len(inputs) - len(state)
    names = [f"state_{i:02}" for i in range(len(state))]
    flat = {f"next_{name}": x for name, x in zip(names, following, strict=True)}
    specs = [
        keras.InputSpec(shape=(batch_size, *x.shape[1:]), dtype=x.dtype, name=x.name)
        for x in inputs[:frames]
    ] + [
        keras.InputSpec(shape=x.shape, dtype=str(x.dtype), name=name)
        for name, x in zip(names, state, strict=True)
    ]
    graph = keras.Model(inputs, {**outputs, **flat}, name="step")
    graph(tree.map_structure(lambda x: keras.ops.zeros(x.shape, x.dtype), specs))
    return graph, specs
