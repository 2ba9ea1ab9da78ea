"""Choose the destination: the given name, or the last segment of the URL's path."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from urllib.parse import unquote

from aprp.core.http.urls import Url

PART = ".aprp-part"
RECORD = PART + ".json"
"""Suffixes of a partial file and of its record."""
NAME_MAX = 255
"""The maximum length of a file name in bytes on common file systems."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f/]")


class ReaderLeft(Exception):
    """Raised when the reader of a pipe closed it, as `head` does."""


class CannotWrite(Exception):
    """Raised when the destination can't be used; the text says why, and what to do."""


def destination(
    urls: tuple[Url, ...],
    output: str | None,
    folder: Path | None,
    go_on: bool = False,
    listed: str | None = None,
) -> Path | None:
    """Return the path to write, or None for standard output (``-``).

    The name in a Metalink is `listed`; folders in it are made. Hidden ones need a `folder`, since a
    program may read them where it looks for its settings. An existing file is replaced if it was
    named explicitly, otherwise only resumed. Links are followed: their target is replaced, not the
    link.
    """
    if output == "-":
        return None
    if output is None:
        if listed is not None and folder is None and any(p[0] == "." for p in listed.split("/")):
            raise CannotWrite(
                f"the Metalink lists {listed!a}, which is hidden; name a folder for it with "
                "--output-dir"
            )
        path = (folder or Path()) / (listed or _made_up(urls[0]))
        _check_length(path)
        if path.exists() and not go_on:
            raise CannotWrite(f"{path} already exists; resume it with -c, or name a file with -o")
    else:
        path = (folder or Path()) / output
        _check_length(path)
    if path.is_dir():
        raise CannotWrite(f"{path} is a directory; name a file in it")
    if output is None and listed is not None and (folder or Path()).is_dir():
        _make_folders(path)
    if not path.parent.is_dir():
        raise CannotWrite(f"{path.parent} isn't a directory; create it first")
    return Path(os.path.realpath(path))


def _make_folders(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"{path.parent} can't be made: {error.strerror}") from None


def _check_length(path: Path) -> None:
    """Raise CannotWrite if the name, or that of its record, is too long."""
    room = NAME_MAX - len(RECORD)
    if len(os.fsencode(path.name)) > room:
        shown = path.name[:40]
        raise CannotWrite(
            f"the name {shown}... is longer than {room} bytes; name a shorter one with -o"
        )


def is_stream(path: Path) -> bool:
    """Return whether the path is a pipe or device, which is written directly."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _made_up(url: Url) -> str:
    name = _CONTROLS.sub("_", unquote(url.path.rsplit("/", 1)[-1], errors="replace"))
    if name in ("", ".", ".."):
        raise CannotWrite(f"{url} doesn't end with the name of a file; name one with -o")
    return name
