"""Write the generated files of the page "Try it": models, runtime, data and a check.

    python docs/live/build.py

The files go to `build/live`, and `mkdocs build` copies them to the page `docs/live`. It
needs npm and `pip install ".[onnx]"`. KERAS_BACKEND must be tensorflow, which is the
fastest here, or torch.
"""

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import keras  # noqa: E402
import numpy as np  # noqa: E402
import onnx  # noqa: E402
from keras import ops, tree  # noqa: E402
from onnx import helper  # noqa: E402

import rladder_keras  # noqa: E402
import zoo  # noqa: E402
from zoo.data.digits import occlusion  # noqa: E402
from zoo.data.music.midi import KEYS, LOWEST  # noqa: E402
from zoo.demo import different_digits  # noqa: E402

RUNTIME = "onnxruntime-web@1.30.0"
INTEGRITY = (
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02V"
    "b7QmRMDs1SigqR4CXAfKYQ=="
)
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")

# How a drawn digit becomes a digit of the training data. `side`: pixels of the original
# images. `box`: longer side of the digit in these pixels. `stroke`: width of its lines.
# `centre`: what is in the middle of the image, the centre of mass or of the box.
DRAWING = {
    "small_mnist": {"side": 28, "box": 20, "stroke": 2.4, "centre": "mass"},
    "small_sklearn": {"side": 8, "box": 8, "stroke": 1.2, "centre": "box"},
}

# Bass, tenor, alto and soprano as MIDI notes, one chord for each quarter note. The
# chorales of "jsb" are about an octave above the score, and so are these bars.
ABOVE_SCORE = 12
BARS = {
    "Two bars in C major": [
        *([48, 55, 64, 72], [47, 55, 62, 74], [48, 55, 64, 72], [53, 57, 65, 72]),
        *([55, 59, 62, 71], [57, 60, 64, 72], [55, 59, 62, 71], [48, 55, 64, 72]),
    ],
    "Two bars in A minor": [
        *([45, 57, 64, 72], [44, 59, 64, 71], [45, 57, 64, 72], [50, 57, 65, 74]),
        *([52, 56, 64, 71], [53, 57, 60, 69], [52, 56, 59, 68], [45, 57, 60, 69]),
    ],
    "One voice, a scale": [[60], [62], [64], [65], [67], [69], [71], [72]],
}

FRAMES = zoo.occluded_mnist.FRAMES + 1  # of each checked sequence
STEPS = 6  # of each checked piece, after its bars


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build" / "live", help="folder to write"
    )
    out = parser.parse_args(argv).out
    out.mkdir(parents=True, exist_ok=True)
    write_runtime(out)
    page, check = {"runtime": RUNTIME}, {}
    page["digits"], check["digits"] = write_digits(out)
    page["music"], check["music"] = write_music(out)
    for path in out.glob("*.onnx"):
        mean_in_stages(path)
    write_json(out / "check.json", check)
    write_json(out / "page.json", page)  # the last file: the page looks for it
    size = sum(path.stat().st_size for path in out.iterdir())
    print(f"wrote {out}: {size / 1e6:.1f} MB")


def write_runtime(out):
    """Take ONNX Runtime Web from its npm package."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("error: npm must be installed; got no such program. Install Node.js.")
    with tempfile.TemporaryDirectory() as folder:
        pack = [npm, "pack", RUNTIME, "--prefer-offline", "--pack-destination", folder]
        done = subprocess.run(pack, capture_output=True, text=True)
        if done.returncode:
            sys.exit(
                f"error: npm must be able to load {RUNTIME}; got\n{done.stderr}"
                "Connect to the network."
            )
        (package,) = Path(folder).glob("*.tgz")
        digest = hashlib.sha512(package.read_bytes()).digest()
        found = f"sha512-{base64.b64encode(digest).decode()}"
        if found != INTEGRITY:
            sys.exit(
                f"error: {RUNTIME} must have the integrity {INTEGRITY}; got {found}. "
                "Delete it from the cache of npm and run again."
            )
        with tarfile.open(package) as archive:
            for name in RUNTIME_FILES:
                source = archive.extractfile(f"package/dist/{name}")
                (out / name).write_bytes(source.read())


def write_digits(out):
    """Export the ladder of Table 1; return what the page and its check need."""
    digits = zoo.data.load_digits("auto")
    shipped = zoo.list_weights("occluded_mnist_rladder", data=digits.name)
    (weights,) = (name for name in shipped if name in DRAWING)  # the smallest download
    model = zoo.occluded_mnist_rladder(weights=weights)
    names = model.export_step(out / "digits.onnx", format="onnx", batch_size=1)
    ten = different_digits(digits)
    order = np.argsort(ten.labels)
    images, labels = ten.digits[order], ten.labels[order]
    page = {
        "ladder": {"file": "digits.onnx", **step_of(model, names)},
        "trained_on": digits.name,
        "frames": zoo.occluded_mnist.FRAMES,
        "canvas": occlusion.CANVAS,
        "digit": occlusion.DIGIT,
        "bar": occlusion.BAR,
        "gap": occlusion.GAP,
        "phase": ten.phase,
        "velocities": occlusion.VELOCITIES,
        "drawing": DRAWING[weights],
        "examples": images,
        "labels": labels,
    }
    rng = np.random.default_rng(0)
    check = []
    for feedback, phase in ((True, ten.phase), (False, 5)):
        flights = occlusion.make_sequences(
            images, labels, rng, frames=FRAMES, phase=phase
        )
        outputs = outputs_of(model, flights.frames, feedback)
        for i, digit in enumerate(images):
            check.append(
                {
                    "feedback": feedback,
                    "phase": phase,
                    "digit": digit.ravel(),
                    "position": flights.positions[i, 0],
                    "velocity": flights.velocities[i, 0],
                    "frames": flights.frames[i],
                    "outputs": {name: x[i] for name, x in outputs.items()},
                }
            )
    return page, check


def write_music(out):
    """Export the ladder of Table 3 and its read-out, which draws key by key."""
    model = zoo.polyphonic_music_rladder(weights="small_jsb")
    readout = model.get_layer("readout")
    d = tree.flatten(readout.input)[0]
    below = keras.Model(model.input["roll"], d)
    names = rladder_keras.export_step(below, out / "music.onnx", "onnx", batch_size=1)
    export_readout(readout, d.shape[2:], out / "readout.onnx")
    bars = {name: roll_of(chords) for name, chords in BARS.items()}
    page = {
        "ladder": {"file": "music.onnx", **step_of(below, names)},
        "readout": {"file": "readout.onnx"},
        "trained_on": "JSB Chorales",
        "lowest": LOWEST,
        "above_score": ABOVE_SCORE,
        "bars": [{"name": name, "roll": roll} for name, roll in bars.items()],
    }
    check = []
    for seed, roll in enumerate(bars.values()):
        whole = zoo.music.generate(model, roll, STEPS, seed=seed)
        sequences = {"roll": whole[None, :-1], "next": whole[None, 1:]}
        sequences = tree.map_structure(lambda x: x.astype(np.float32), sequences)
        rng = np.random.default_rng(seed)
        check.append(
            {
                "bars": len(roll),
                "roll": whole,
                # The random numbers of `zoo.music.generate`, one for each key.
                "chance": rng.random((STEPS, KEYS)),
                "outputs": [
                    {
                        "feedback": feedback,
                        "notes": outputs_of(model, sequences, feedback)["notes"][0],
                    }
                    for feedback in (True, False)
                ],
            }
        )
    return page, check


def roll_of(chords):
    """Return the piano roll of a list of chords."""
    roll = np.zeros((len(chords), KEYS), np.uint8)
    for t, chord in enumerate(chords):
        roll[t, np.array(chord) + ABOVE_SCORE - LOWEST] = 1
    return roll


def export_readout(readout, shape, path):
    """Export a `KeyReadout`: `d_1` and the keys of the next step to probabilities."""
    inputs = [keras.Input(shape, name="d"), keras.Input(shape[:1], name="next")]
    logits = readout(*(ops.expand_dims(x, 1) for x in inputs))
    notes = ops.squeeze(ops.sigmoid(logits), 1)
    specs = [
        keras.InputSpec(shape=(1, *x.shape[1:]), dtype="float32", name=x.name)
        for x in inputs
    ]
    graph = keras.Model(inputs, {"notes": notes})
    graph.export(str(path), "onnx", verbose=False, input_signature=[specs])


def mean_in_stages(path):
    """Replace means over several axes in an ONNX file by means over one axis at a time.

    ONNX Runtime Web adds up the values of a mean one after the other, in single
    precision. In stages, the rounding errors are a tenth.
    """
    model = onnx.load(path)
    nodes = []
    for node in model.graph.node:
        axes = [list(a.ints) for a in node.attribute if a.name == "axes"]
        flat = any(a.name == "keepdims" and a.i == 0 for a in node.attribute)
        if node.op_type != "ReduceMean" or not axes or flat:
            nodes.append(node)
            continue
        steps = [f"{node.output[0]}/{i}" for i in range(len(axes[0]))]
        ends = [node.input[0], *steps[1:], node.output[0]]
        for axis, (source, target) in zip(axes[0], pairwise(ends), strict=True):
            options = {"axes": [axis], "keepdims": 1}
            nodes.append(helper.make_node("ReduceMean", [source], [target], **options))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)


def step_of(model, names):
    """Describe the inputs of an exported step.

    `feedback` names the arrays of the state that are the last outputs of the decoders.
    If they are zeros, as in the first state, the encoder receives no feedback.
    """
    (frame, *state), first = names[0], rladder_keras.initial_state(model, 1)
    return {
        "frame": frame,
        "state": [
            {"name": name, "shape": x.shape, "type": str(x.dtype)}
            for name, x in zip(state, first, strict=True)
        ],
        "feedback": state[-decoders(model) :],
    }


def decoders(model):
    """Return the number of decoders of a model; their outputs end the state."""
    _, _, d = model.get_layer("ladder").cell.get_initial_state(1)
    return len(tree.flatten(d))


def outputs_of(model, sequences, feedback):
    """Return the outputs of `model.step` for sequences, with or without feedback."""
    batch, steps = tree.flatten(sequences)[0].shape[:2]
    state = first = model.init_state(batch)
    outputs, n = [], decoders(model)
    for t in range(steps):
        if not feedback:
            state = [*state[:-n], *first[-n:]]
        frame = tree.map_structure(lambda x, t=t: x[:, t], sequences)
        output, state = model.step(frame, state)
        outputs.append(output)
    return tree.map_structure(lambda *x: np.stack(x, 1), *outputs)


def write_json(path, content):
    """Write arrays as flat lists for each of their first entries, to six decimals."""
    path.write_text(json.dumps(content, default=plain), encoding="utf-8")


def plain(x):
    x = np.asarray(x)
    x = x.reshape(len(x), -1) if x.ndim > 1 else x
    return np.round(x.astype(float), 6).tolist() if x.dtype.kind == "f" else x.tolist()


if __name__ == "__main__":
    main()
