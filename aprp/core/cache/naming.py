"""How an operator names stored files.

A key is lines of text, such as the upstream's URL and the client's. A pattern names a key if it
fits the end of one of its lines, from a slash on; `*` stands for any characters.
"""

from __future__ import annotations

import re


def shown(key: bytes) -> str:
    """Return a key as text in one line."""
    return " ".join(key.decode("utf-8", "backslashreplace").split("\n"))


def named_by(pattern: str) -> re.Pattern[str]:
    """Return what searches the text of keys, lines and all, for those that the pattern names."""
    glob = ".*".join(re.escape(part) for part in pattern.split("*"))
    return re.compile(f"(?:^|(?=/)|(?<=/)){glob}$", re.MULTILINE)


def names(pattern: re.Pattern[str], key: bytes) -> bool:
    """Return whether a pattern names a key."""
    return pattern.search(key.decode("utf-8", "backslashreplace")) is not None
