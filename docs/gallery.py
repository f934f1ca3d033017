"""Write the gallery of trained weights: `docs/gallery.md` and `docs/gallery/`.

It also draws `docs/sequence.png`, the first picture of the README.

    python docs/gallery.py          # draws the pictures, composes the pieces
    python docs/gallery.py --text   # the page only, from the cards

Figures, sizes and sources are those of the cards. The pictures and pieces need MNIST
and the corpora of music, see docs/guides/datasets.md.
"""

import argparse
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

import zoo  # noqa: E402
from zoo import report  # noqa: E402
from zoo.weights.cards import SHIPPED  # noqa: E402

HEAD = """\
# Gallery

This page shows the trained weights that the package contains. Figures are on the test
sets. AMI, the adjusted mutual information of groups and digits, is 1 for perfect groups
and 0 for chance; "frame seen" means that the frame was input before its pixels were
grouped. Figures of music are negative log-likelihoods of the joint distribution of the
keys, where lower is better. Guessing has a classification error of 90 %. The page plays
the pieces on the [site](https://rladder-keras.github.io/rladder-keras/gallery/).
`python docs/gallery.py` writes this page.
"""
SECTION = """\
## {title}

{about}

![{title}](gallery/{picture})

```py
model = zoo.{model}(weights="{name}")
```

| | |
| --- | --- |
| trained on | {data} |
{metrics}
| training | {minutes} minutes on a machine with {device} |
| file | [{file}](../zoo/weights/{file}), {kilobytes} kB, {licence} |
"""
ABOUT = {
    "occluded_mnist_rladder": (
        "Digits behind bars",
        "A digit of the test set moves behind bars. The network classifies it, "
        "predicts the next frame, and its lowest decoder shows what it infers behind "
        'the bars (row "Probe").',
    ),
    "moving_mnist_rtagger": (
        "Two moving digits",
        "The network predicts frames and has no labels. In most films, each digit "
        "becomes a group (colour), because its pixels move together.",
    ),
    "polyphonic_music_rladder": (
        "Music",
        "The first 16 time steps are from the second piece of the test set; the "
        "network has composed the rest (`seed=2`, [MIDI file](gallery/{midi})).\n\n"
        '<audio controls preload="none" src="{wav}"></audio>',
    ),
}
CORPORA = {  # name of the corpus, and time step in quarter notes
    "small_jsb": ("jsb", 1),
    "small_nottingham": ("nottingham", 0.5),
    "small_muse": ("muse", 0.5),
    "small_piano_midi": ("piano_midi", 0.5),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--text", action="store_true", help="write the page only")
    args = parser.parse_args()
    (DOCS / "gallery.md").write_text(page(), encoding="utf-8")
    if not args.text:
        (DOCS / "gallery").mkdir(exist_ok=True)
        for card in cards():
            draw(card["model"], card["name"])
        net = zoo.occluded_mnist_rladder(weights="reduced_mnist")
        digit(DOCS / "sequence.png", net, "mnist", 34)


def cards():
    """Return the cards of the shipped weights, in the order of the paper."""
    weights = zoo.list_weights()
    return [zoo.weights.card(m, name) for m in ABOUT for name in weights[m]]


def page():
    """Return the text of the page."""
    return "\n".join([HEAD, *map(section, cards())])


def section(card):
    """Return the part of the page about one file of weights."""
    name, file = f"{card['model']}-{card['name']}", Path(card["file"]).name
    title, about = ABOUT[card["model"]]
    metrics = card["metrics"] | compared(card)
    lines = [f"| {metric} | {value} |" for metric, value in metrics.items()]
    if card["model"].startswith("polyphonic"):
        lines = [line.replace(" |", ", nats per step |", 1) for line in lines]
    return SECTION.format(
        **{k: v for k, v in card.items() if k not in ("metrics", "file")},
        file=file,
        title=f"{title}: {card['data']}, weights {card['name']}",
        about=about.format(midi=f"{name}.mid", wav=f"{name}.wav"),
        picture=f"{name}.png",
        metrics="\n".join(lines),
        minutes=round(card["seconds"] / 60),
        kilobytes=round((SHIPPED / file).stat().st_size / 1000),
    )


def compared(card):
    """Return the figures of other models on the same data, from the CSV files."""
    halves = ("left and right half", card["protocol"], "AMI")
    figures = {}
    for line in report.read(report.RESULTS / "paper.csv"):
        name = line["row"].removesuffix(" (joint)")
        if name in ("RNN-NADE", "BALSTM") and line["metric"] == card["data"]:
            figures[f"for comparison: {name}"] = line["value"]
    for line in report.read(report.RESULTS / "runs.csv"):
        if (line["row"], line["size"], line["metric"]) == halves:
            figures["for comparison: left and right half, AMI"] = line["value"]
    return figures


def draw(model, name):
    """Write the picture of trained weights, and for music the piece."""
    net = getattr(zoo, model)(weights=name)
    path = DOCS / "gallery" / f"{model}-{name}.png"
    if model == "occluded_mnist_rladder":
        title = f"{model}, weights {name}"
        digit(path, net, "sklearn" if name.endswith("sklearn") else "mnist", 3, title)
    elif model == "moving_mnist_rtagger":
        size, frames = net.input_shape[2], 8
        options = {"size": size, "frames": frames, "verbose": False}
        _, _, test = zoo.data.moving_mnist("mnist", 1, **options)
        x, _ = test[5]
        zoo.show.video(x[0], net.predict_on_batch(x), path)
    else:
        corpus, step = CORPORA[name]
        prompt = zoo.data.load_corpus(corpus).test[1][:16]
        midi = path.with_suffix(".mid")
        zoo.music.generate(net, prompt, steps=80, path=midi, step=step, seed=2)


def digit(path, net, source, i, title=None):
    """Write the picture of the `i`-th test sequence of occluded digits."""
    _, _, test = zoo.data.occluded_mnist(source, i + 1, verbose=False)
    x, y = test[0]
    found = net.predict_on_batch(x)
    probe, classes = found["probe"][i], found["class"][i]
    frames = y["frame"][i], found["frame"][i], y["probe"][i], probe, classes
    zoo.show.sequence(path, *frames, int(y["class"][i]), title)


if __name__ == "__main__":
    main()
