"""Where a file goes: the name that is asked for, or the last part of the URL's path."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from urllib.parse import unquote

from aprp.core.http.urls import Url

PART = ".aprp-part"
RECORD = PART + ".json"
"""What the names of a partial file and of its record end in."""
NAME_MAX = 255
"""Bytes of a name on all file systems in wide use."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f/]")


class ReaderLeft(Exception):
    """The reader of a pipe closed it, as `head` does when it has enough."""


class CannotWrite(Exception):
    """The destination can't be used; the text says which, why, and what to do."""


def destination(
    urls: tuple[Url, ...], output: str | None, folder: Path | None, go_on: bool = False
) -> Path | None:
    """The path to write, or None for standard output (``-``).

    A file whose name is asked for is replaced; one whose name is made up isn't, unless to go on
    with it. Links are
    followed, so that what they point to is replaced and not they.
    """
    if output == "-":
        return None
    if output is None:
        path = (folder or Path()) / _made_up(urls[0])
        _check_length(path)
        if path.exists() and not go_on:
            raise CannotWrite(f"{path} already exists; resume it with -c, or name a file with -o")
    else:
        path = (folder or Path()) / output
        _check_length(path)
    if path.is_dir():
        raise CannotWrite(f"{path} is a directory; name a file in it")
    if not path.parent.is_dir():
        raise CannotWrite(f"{path.parent} isn't a directory; create it first")
    return Path(os.path.realpath(path))


def _check_length(path: Path) -> None:
    """Raise CannotWrite where the name, or that of the record beside it, is too long for a file."""
    room = NAME_MAX - len(RECORD)
    if len(os.fsencode(path.name)) > room:
        shown = path.name[:40]
        raise CannotWrite(
            f"the name {shown}... is longer than {room} bytes; name a shorter one with -o"
        )


def is_stream(path: Path) -> bool:
    """Whether it is a pipe or a device, which is written to and never replaced."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _made_up(url: Url) -> str:
    name = _CONTROLS.sub("_", unquote(url.path.rsplit("/", 1)[-1], errors="replace"))
    if name in ("", ".", ".."):
        raise CannotWrite(f"{url} doesn't end with the name of a file; name one with -o")
    return name
