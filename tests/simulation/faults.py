"""What can go wrong with a reply, by name. To add a fault, write a function here and list it.

Each one spoils a `Reply` in place. But for those in WRONG, nothing here makes an answer that is
wrong and can't be told from a right one: a file's bytes under another file's validators would be
nobody's fault but the origin's.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.simulation.replies import Reply
from tests.simulation.scenario import Fault

Spoiler = Callable[[Fault, Reply, dict[str, str]], None]


def _silent(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    reply.raw, reply.end = b"", "nothing"


def _hang_up(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    reply.raw, reply.end = b"", "fin"


def _reset_at_once(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    reply.raw, reply.end = b"", "reset"


def _status(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    retry = [("Retry-After", str(int(fault.seconds)))] if fault.seconds else []
    reply.status, reply.fields, reply.body = fault.status, retry, b"sorry"
    reply.length, reply.declared = "declared", None


def _garbage(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    reply.raw, reply.end = b"SSH-2.0-OpenSSH_9.6\r\n", "fin"


def _endless_head(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    reply.raw, reply.end = b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 20000, "fin"


def _interims(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    reply.interims = 1 + fault.after % 40


def _late(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    reply.wait = fault.seconds


def _reset(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    reply.break_at, reply.end = _within(fault, reply), "reset"


def _cut(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    """The connection is closed early. A body that its close ends has to be reset instead."""
    reply.break_at = _within(fault, reply)
    reply.end = "reset" if reply.length == "close" else "fin"


def _stall(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    reply.break_at = _within(fault, reply)
    if fault.seconds:
        reply.pause = fault.seconds
    else:
        reply.end = "nothing"


def _within(fault: Fault, reply: Reply) -> int:
    return fault.after % max(1, len(reply.body))


def _other_range(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    found = _content_range(reply)
    if found is not None and found[0] > 0:
        first, last, size = found
        reply.fields = _without(reply, "Content-Range")
        reply.fields.append(("Content-Range", f"bytes {first - 1}-{last - 1}/{size}"))


def _no_content_range(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    reply.fields = _without(reply, "Content-Range")


def _unasked_part(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    if reply.status == 200 and len(reply.body) > 1:
        size, half = len(reply.body), len(reply.body) // 2
        reply.status, reply.body = 206, reply.body[:half]
        reply.fields.append(("Content-Range", f"bytes 0-{half - 1}/{size}"))


def _shorter(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    """A part of what was asked for, and it says so."""
    found = _content_range(reply)
    if found is not None and len(reply.body) > 1:
        first, _, size = found
        reply.body = reply.body[: 1 + fault.after % (len(reply.body) - 1)]
        reply.fields = _without(reply, "Content-Range")
        last = first + len(reply.body) - 1
        reply.fields.append(("Content-Range", f"bytes {first}-{last}/{size}"))


def _coded(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    reply.fields.append(("Content-Encoding", "gzip"))


def _too_long(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    if reply.length == "declared" and not reply.bodiless:
        reply.declared = len(reply.body)
        reply.body += b"more than was said"


def _two_lengths(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    reply.fields += [("Content-Length", "3"), ("Content-Length", "4")]


def _unsatisfiable(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    if reply.status in (200, 206):
        reply.status, reply.body = 416, b""
        reply.fields = [("Content-Range", f"bytes */{1 << 30}")]
        reply.length, reply.declared = "declared", None


def _multipart(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    if reply.status == 206:
        reply.fields = _without(reply, "Content-Range")
        reply.fields = [line for line in reply.fields if line[0] != "Content-Type"]
        reply.fields.append(("Content-Type", "multipart/byteranges; boundary=B"))
        reply.body = b"--B\r\n\r\n" + reply.body + b"\r\n--B--\r\n"


def _flip(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    """One bit of the body is another."""
    if reply.body:
        body = bytearray(reply.body)
        body[fault.after % len(body)] ^= 1 << fault.after % 8
        reply.body = bytes(body)


def _other(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    """All of the body is another."""
    reply.body = bytes(len(reply.body))


def _content_range(reply: Reply) -> tuple[int, int, int] | None:
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", dict(reply.fields).get("Content-Range", ""))
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))


def _without(reply: Reply, name: str) -> list[tuple[str, str]]:
    return [line for line in reply.fields if line[0] != name]


SILENT: dict[str, Spoiler] = {
    "silent": _silent,
    "hang-up": _hang_up,
    "reset-at-once": _reset_at_once,
    "late": _late,
}
"""No answer, or a late one."""
BREAKS: dict[str, Spoiler] = {"reset": _reset, "cut": _cut, "stall": _stall}
"""An answer that breaks within its body."""
REFUSALS: dict[str, Spoiler] = {"status": _status}
LIES: dict[str, Spoiler] = {
    "garbage": _garbage,
    "endless-head": _endless_head,
    "interims": _interims,
    "other-range": _other_range,
    "no-content-range": _no_content_range,
    "unrequested-part": _unasked_part,
    "shorter": _shorter,
    "coded": _coded,
    "too-long": _too_long,
    "two-lengths": _two_lengths,
    "unsatisfiable": _unsatisfiable,
    "multipart": _multipart,
}
"""Answers that aren't what was asked for."""


def _framed(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    reply.frames = fault.kind


FRAMES: dict[str, Spoiler] = dict.fromkeys(
    ("refused", "left-out", "goaway", "shrink", "flood"), _framed
)
"""What only an answer over HTTP/2 can do; nothing over HTTP/1.1."""
WRONG: dict[str, Spoiler] = {"flip": _flip, "other": _other}
"""Answers with wrong bytes, which only hashes show."""
ALL = SILENT | BREAKS | REFUSALS | LIES | FRAMES | WRONG


def spoil(fault: Fault, reply: Reply, fields: dict[str, str]) -> None:
    """Do it to the reply."""
    ALL[fault.kind](fault, reply, fields)
