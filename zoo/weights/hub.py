"""Trained weights as a folder that a model hub can serve."""

import os
import shutil
from pathlib import Path
from string import Formatter
from typing import Any

import keras

from zoo.weights.cards import MODELS, card

PAGE = """\
---
license: apache-2.0
library_name: keras
tags: [keras, recurrent-ladder-network, rladder-keras]
datasets: [{dataset}]
model-index:
- name: {model}-{name}
  results:
  - task: {{type: other, name: "{row} ({table})"}}
    dataset: {{type: {dataset}, name: "{data}"}}
    metrics:
{metrics}
---

# {model}, weights "{name}"

{picture}A model of [Recurrent Ladder Networks](https://arxiv.org/abs/1707.09219),
trained by [rladder-keras](https://github.com/rladder-keras/rladder-keras) on {data}.

## Usage

```python
import keras
import zoo  # pip install git+https://github.com/rladder-keras/rladder-keras

model = keras.saving.load_model("hf://USER/{model}-{name}")
```

The same weights come with the package: `zoo.{model}(weights="{name}")`.

Input: {inputs}

## Figures on the test set

| metric | value |
| --- | ---: |
{table_of_metrics}

## Training

- Data: {data}
- Protocol: {protocol}; seed {seed}; {examples:,} training sequences
- Device: {device}, {minutes} minutes, backend {backend} ({versions})
- Commit: {commit}, {date}

```bash
{command}
```

## Intended use and limits

The weights show what the architecture learns, and are a starting point for
experiments. The model is smaller than the paper's and was trained on {data} only: on
other data the figures above do not apply.
"""


NEEDED = {field for _, field, *_ in Formatter().parse(PAGE) if field} | {
    "data",
    "metrics",
    "seconds",
}
NEEDED -= {"dataset", "minutes", "picture", "table_of_metrics"}  # computed from others


def export(
    folder: str | os.PathLike,
    model: str,
    name: str,
    picture: str | os.PathLike | None = None,
) -> Path:
    """Write trained weights as a folder for the Hugging Face Hub.

    The folder contains the model for `keras.saving.load_model`, which loads a folder or
    `hf://...`, and the card as `README.md`. Upload it with
    `huggingface_hub.upload_folder`.

    Args:
        folder: Folder to write. It must be new or empty.
        model: Name of a builder, one of `zoo.list_models()`.
        name: Name of its weights, one of `zoo.list_weights(model)`.
        picture: Path of a picture to show on the card.

    Returns:
        The folder.

    Raises:
        ValueError: If there are no such weights, or the folder is not empty.
    """
    known, folder = card(model, name), Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"`folder` must be new or empty; got {str(folder)!r}. Choose another one."
        )
    if picture is not None and not Path(picture).is_file():
        raise ValueError(
            f"`picture` must be a file; got {str(picture)!r}. Check the path."
        )
    shown = ""
    if picture is not None:
        # In `assets`, because Keras treats other files in the folder as assets, too.
        target = folder / "assets" / Path(picture).name
        shown = f"![What the model predicts](assets/{target.name})\n\n"
    text = page(known, shown)  # before anything is written: raises if a key is missing
    folder.mkdir(parents=True, exist_ok=True)
    keras.saving.save_model(MODELS[model](weights=name), folder, zipped=False)
    if picture is not None:
        shutil.copy(picture, target)
    (folder / "README.md").write_text(text, encoding="utf-8")
    return folder


def page(known: dict[str, Any], picture: str = "") -> str:
    """Return the card as a Markdown page with metadata for model hubs.

    Args:
        known: Card of the weights.
        picture: Markdown of a picture.
    """
    missing = sorted(key for key in NEEDED if known.get(key) is None)
    if missing:
        raise ValueError(
            f"The card of {known.get('name')!r} must have all keys of a published "
            f"card; it lacks {', '.join(missing)}. Publish the weights again."
        )
    metrics = known["metrics"]
    return PAGE.format(
        **{key: value for key, value in known.items() if key != "metrics"},
        dataset=known["data"].lower().replace(" ", "-"),
        metrics="\n".join(
            f'    - {{type: other, name: "{metric}", value: {value}}}'
            for metric, value in metrics.items()
        ),
        table_of_metrics="\n".join(f"| {k} | {v} |" for k, v in metrics.items()),
        minutes=round(known["seconds"] / 60),
        picture=picture,
    )
