"""The Cache-Status field (RFC 9211): how the cache handled a request."""

from __future__ import annotations

import re

from aprp.core.values import dataclass

CACHE = "aprp"
_TOKEN = re.compile(r"[a-z*][a-z0-9_\-.*]*")


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """One member of Cache-Status.

    `forwarded` is why the request went to the origin (section 2.2): `uri-miss`, `vary-miss`,
    `stale`, `request`, `method`, `bypass` or `partial`; None for a hit. `status` is what the origin
    answered, None if it didn't; `ttl` is in seconds, negative for a stale response.
    """

    forwarded: str | None = None
    status: int | None = None
    ttl: int | None = None
    stored: bool = False
    collapsed: bool = False
    detail: str | None = None

    def __bytes__(self) -> bytes:
        parts = [CACHE]
        if self.forwarded is None:
            parts.append("hit")
        else:
            parts.append(f"fwd={self.forwarded}")
            if self.status is not None:
                parts.append(f"fwd-status={self.status}")
        if self.ttl is not None:
            parts.append(f"ttl={self.ttl}")
        if self.stored:
            parts.append("stored")
        if self.collapsed:
            parts.append("collapsed")
        if self.detail is not None:
            parts.append(f"detail={_item(self.detail)}")
        return "; ".join(parts).encode("ascii")


def _item(text: str) -> str:
    """Return a token where the text is one, else a string."""
    if _TOKEN.fullmatch(text):
        return text
    return '"' + re.sub(r"[^ !#-\[\]-~]", "?", text) + '"'
