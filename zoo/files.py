"""Reading and writing of files that are either complete or absent."""

import contextlib
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def some(names: Sequence[str], most: int = 10) -> str:
    """Join the first `most` names for a message, and count the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def write_whole(path: Path, save: bytes | Callable[[IO[bytes]], Any]) -> Path:
    """Write a file atomically: readers see the old file or the complete new one.

    The content goes to a temporary file in the same folder, which then replaces `path`.

    Args:
        path: `pathlib.Path` of the file. Missing folders are created.
        save: The bytes, or a function that writes to a binary file.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            if isinstance(save, bytes):
                file.write(save)
            else:
                save(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


@contextlib.contextmanager
def appending(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to append bytes to it, one process at a time."""
    with open(path, "ab", buffering=0) as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
        yield file


def check_writable(path: Path, what: str) -> None:
    """Raise `ValueError` if a file cannot be written, before any work is done.

    Args:
        path: `pathlib.Path` of the file. Missing folders are created.
        what: Name of the argument that the user gave, for the message.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.open("ab").close()
        else:
            tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ValueError(
            f"{what} must be writable; got {path} "
            f"({error.strerror}). Choose another place."
        ) from error


def read_arrays(
    path: str | os.PathLike, remedy: str = "Delete it"
) -> dict[str, np.ndarray]:
    """Read the arrays of an `.npz` file by name.

    Args:
        path: Path of the file.
        remedy: What the user can do if the file is damaged, in the imperative.

    Raises:
        ValueError: If the file is damaged or missing.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as opened:
            return dict(opened)
    except (OSError, EOFError, ValueError, BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} must be a complete .npz file; it is damaged ({error}). {remedy}."
        ) from error


def read_json(path: Path, remedy: str = "Delete it") -> Any:
    """Read a JSON file.

    Args:
        path: `pathlib.Path` of the file.
        remedy: What the user can do if the file is damaged, in the imperative.

    Raises:
        ValueError: If the file is damaged or missing.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path} must be a complete JSON file; it is damaged ({error}). {remedy}."
        ) from error
