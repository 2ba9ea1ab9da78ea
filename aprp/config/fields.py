"""Types of the names and values of fields that are added to requests and responses."""

from __future__ import annotations

import re
from typing import Any

from aprp.config.faults import shown
from aprp.config.scalars import Scalar

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FIELD_VALUE = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")

_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_OURS = {
    "content-length",
    "expect",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "max-forwards",
    "range",
    "via",
}


class FieldName(Scalar):
    """The name of a field that may be added to requests upstream (RFC 9110 §5.1, §7.6.1)."""

    def bound(self, value: str) -> None:
        if not TOKEN.fullmatch(value):
            raise ValueError(f"{shown(value)} is not a valid field name (RFC 9110 §5.1)")
        name = value.lower()
        if name == "host":
            raise ValueError("is set with the route's own key host:")
        if name in _HOP_BY_HOP:
            raise ValueError("belongs to a single connection (RFC 9110 §7.6.1); leave it out")
        if name in _OURS:
            raise ValueError("is set by the proxy itself; leave it out")


_FRAMING = {"content-length", "content-range", "date", "transfer-encoding"}


class ResponseFieldName(FieldName):
    """The name of a field that may be set on responses."""

    def bound(self, value: str) -> None:
        if value.lower() in _FRAMING:
            raise ValueError("frames the response and is set by the proxy itself; leave it out")
        super().bound(value)


class FieldValue(Scalar):
    """The value of a field (RFC 9110 §5.5), visible ASCII with spaces between."""

    def bound(self, value: str) -> None:
        if not _FIELD_VALUE.fullmatch(value):
            raise ValueError(
                f"{shown(value)} can't be the value of a field: "
                "visible ASCII, spaces only between (RFC 9110 §5.5)"
            )

    def json_schema(self) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean"]}


def refuse_coding(name: str) -> None:
    """Raise ValueError for the name of a field that asks sources for coded content."""
    if name.lower() == "accept-encoding":
        raise ValueError(
            "has Accept-Encoding, but sources are always requested to send identity; leave it out"
        )
