"""The graph of one iteration, for runtimes that have no Keras."""

import os
import tempfile
from pathlib import Path

import keras
from keras import tree

from rladder_keras.streaming import initial_state, step_model

# Which backend can write which format; packages that Keras needs for it.
FORMATS = {
    "tf_saved_model": {"tensorflow": ["tensorflow"], "jax": ["tensorflow"]},
    "onnx": {
        "tensorflow": ["onnx", "tf2onnx"],
        "torch": ["onnx", "onnxscript"],
    },
    "litert": {"tensorflow": ["tensorflow"]},
    "torch": {"torch": ["torch"]},
}


def export_step(model, path, format="onnx", batch_size=1):
    """Write one iteration of a model of sequences as a file for another runtime.

    The graph is that of `step_model`, with the weights in it: it takes a frame and a
    state, and gives what the model has seen and the next state. There is no loop in it,
    and sequences of any length can be given frame by frame.

    Args:
        model: A model as `step_model` takes it.
        path: Where to write: a file, or for `"tf_saved_model"` a folder that is not
            there yet.
        format: `"onnx"`, `"tf_saved_model"`, `"litert"` or `"torch"` (`.pt2`).
        batch_size: Number of sequences that are given side by side.

    Returns:
        Two lists: the names of the inputs, the frame first and then `"state_00"`, ...,
        and the names of the outputs, in alphabetical order, with `"next_state_00"`,
        ... among them. Runtimes that keep no names take and give them in this order.
        In the beginning the state is `initial_state(model, batch_size)`.

    Raises:
        ValueError: If the backend cannot write the format.
        ImportError: If a package that is needed for it is not installed.
        FileExistsError: If there is something else at the path.

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
        ValueError: format must be one of tf_saved_model, onnx, litert, torch, ...
    """
    check_format(format)
    path = Path(path)
    if path.is_dir():
        raise FileExistsError(f"{path} is there already: choose another path.")
    graph, specs = step_graph(model, batch_size)
    names = [spec.name for spec in specs], sorted(graph.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        whole = Path(folder, path.name)
        # Keras insists on the endings of two formats.
        written = whole.with_suffix(ENDINGS.get(format, whole.suffix))
        graph.export(str(written), format, verbose=False, input_signature=[specs])
        if format == "onnx" and keras.backend.backend() == "torch":
            name_outputs(written, names[1])
        os.replace(written, path)
    return names


ENDINGS = {"litert": ".tflite", "torch": ".pt2"}


def name_outputs(path, names):
    """Give the outputs of an ONNX file their names; torch calls them something else."""
    import onnx

    model = onnx.load(path)
    for output, name in zip(model.graph.output, names, strict=True):
        model.graph.node.add(op_type="Identity", input=[output.name], output=[name])
        output.name = name
    onnx.save(model, path)


def check_format(format):
    """Refuse a format that this backend, or this installation, cannot write."""
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {format!r}.")
    backend, able = keras.backend.backend(), FORMATS[format]
    if backend not in able:
        raise ValueError(
            f"the {backend} backend cannot write {format!r}: save the model, and load "
            f"it with KERAS_BACKEND={' or '.join(able)} to export it."
        )
    for package in able[backend]:
        try:
            __import__(package)
        except ImportError as error:
            raise ImportError(
                f"{format!r} needs the package {package} with the {backend} backend: "
                f"pip install {package}."
            ) from error


def step_graph(model, batch_size):
    """`step_model` with flat inputs and outputs, and the specifications of the former.

    Outputs become a dictionary, because not all formats take them nested.
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
