"""Files that are there whole or not at all."""

import json
import os
import tempfile
import zlib
from zipfile import BadZipFile

import numpy as np


def some(names, most=10):
    """The first names, and how many more there are, for a message."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def write_whole(path, save):
    """Write beside the path first, so that no reader meets half a file.

    Args:
        path: `pathlib.Path` of the file; its folder is made if need be.
        save: Function that writes to a binary file, or the bytes.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(save) if isinstance(save, bytes) else save(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def check_writable(path, what):
    """Refuse, before any work, a file that its results cannot be written to.

    Args:
        path: `pathlib.Path` of the file; its folder is made if need be.
        what: What the user gave the path as.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.open("ab").close()
        else:
            tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ValueError(
            f"{what} must be a file that can be written; got {path} "
            f"({error.strerror}). Choose another place."
        ) from error


def read_arrays(path, remedy="delete it"):
    """The arrays of an `.npz` file by name; one that is damaged is named."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as opened:
            return dict(opened)
    except (OSError, EOFError, ValueError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {remedy}.") from error


def read_json(path, remedy="delete it"):
    """What a JSON file holds; one that is damaged or missing is named."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {remedy}.") from error
