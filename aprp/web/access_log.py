"""The access log: one line per finished request, as text in the combined format or as JSON.

A line stays a line and a field a field, whatever a client sends: what could end or forge one is
escaped. Writing is the sink's work; a format is a function from a record to a line.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from aprp.web.access_record import AccessRecord

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def escape(text: str) -> str:
    r"""``text`` with quotes, backslashes and all that isn't printable as ``\"``, ``\\``, ``\xHH``.

    A byte that came as a lone surrogate is shown as that byte; a character above U+00FF that
    can't be printed (line separators, changes of direction) as ``\uHHHH``.
    """
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"


def _quoted(text: str | None) -> str:
    return '"-"' if text is None else f'"{escape(text)}"'


def _word(text: str | None) -> str:
    """A field that stands without quotes, so it can hold no space."""
    return escape(text).replace(" ", "\\x20") if text else "-"


def combined(record: AccessRecord) -> str:
    """The combined format and more: range, seconds, upstream, how it ended, resumes, received.

    A request that was sent no status has 000. Times are UTC.
    """
    at = datetime.fromtimestamp(record.started_at, UTC)
    time = f"{at:%d}/{MONTHS[at.month - 1]}/{at:%Y:%H:%M:%S} +0000"
    line = escape(f"{record.method} {record.target} {record.version}")
    return (
        f'{_word(record.client)} - - [{time}] "{line}" {record.status:03d} {record.bytes_sent} '
        f"{_quoted(record.referer)} {_quoted(record.user_agent)} "
        f"{_quoted(record.range)} {record.seconds:.3f} {_word(record.upstream)} "
        f"{_quoted(record.ended)} {record.resumes} {record.bytes_received}"
    )


def as_json(record: AccessRecord) -> str:
    """One JSON object; ``time`` is RFC 3339 in UTC, the rest are the record's own fields.

    ``sources`` has the bytes of each, ``ending`` is in short how the request ended.
    """
    at = datetime.fromtimestamp(record.started_at, UTC)
    fields: dict[str, object] = {"time": at.isoformat(timespec="milliseconds")}
    for name, value in record._asdict().items():
        if name != "started_at":
            fields[name] = _whole_text(value) if isinstance(value, str) else value
    fields["seconds"] = round(record.seconds, 6)
    fields["first_byte"] = _rounded(record.first_byte)
    fields["longest_gap"] = _rounded(record.longest_gap)
    fields["sources"] = {_whole_text(name): count for name, count in record.sources}
    fields["ending"] = record.ending
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":"))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _whole_text(text: str) -> str:
    """Lone surrogates spelt out, for readers that refuse them in JSON."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


FORMATS: dict[str, Callable[[AccessRecord], str]] = {"combined": combined, "json": as_json}


class AccessLog:
    """Writes each record it is called with to ``sink``, as one line of UTF-8."""

    def __init__(self, sink: Callable[[bytes], object], name: str = "combined") -> None:
        self._sink = sink
        self._format = FORMATS[name]

    def __call__(self, record: AccessRecord) -> None:
        self._sink(self._format(record).encode("utf-8", "backslashreplace") + b"\n")
