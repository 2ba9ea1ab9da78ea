"""Cross-origin requests: which pages of other sites may read a response (the Fetch standard).

A web player on another site needs its origin allowed, the Range field let through a preflight, and
Content-Range, among others, exposed to its script.
"""

from __future__ import annotations

from collections.abc import Collection

from aprp.core.http.fields import Fields, Pairs

ANY = b"*"
EXPOSED = b"Accept-Ranges, Content-Encoding, Content-Length, Content-Range, ETag"
REQUEST_FIELDS = (
    b"Accept, Cache-Control, If-Match, If-Modified-Since, If-None-Match, If-Range, Range"
)
METHODS = b"GET, HEAD"
MAX_AGE = b"86400"
_OURS = (
    b"access-control-allow-origin",
    b"access-control-expose-headers",
    b"access-control-allow-credentials",
)


def is_preflight(method: bytes, request: Fields) -> bool:
    """Whether a request only asks if another one may be made."""
    return (
        method == b"OPTIONS"
        and b"origin" in request
        and (b"access-control-request-method" in request)
    )


def allowed_origin(request: Fields, allowed: Collection[bytes]) -> bytes | None:
    """Return the Access-Control-Allow-Origin of the response to this request, or None."""
    if ANY in allowed:
        return ANY
    origin = request.get(b"origin")
    return origin if origin is not None and origin.lower() in allowed else None


def preflight_fields(request: Fields, allowed: Collection[bytes]) -> Fields:
    """Return the fields of the response to a preflight; without an allowed origin it permits
    nothing.
    """
    lines: Pairs = ((b"Vary", b"Origin"),)
    origin = allowed_origin(request, allowed)
    if origin is not None:
        lines += (
            (b"Access-Control-Allow-Origin", origin),
            (b"Access-Control-Allow-Methods", METHODS),
            (b"Access-Control-Allow-Headers", REQUEST_FIELDS),
            (b"Access-Control-Max-Age", MAX_AGE),
        )
    return Fields(lines)


def with_cors(response: Fields, request: Fields, allowed: Collection[bytes]) -> Fields:
    """Return a response's fields with aprp's CORS fields in place of the upstream's."""
    kept = response.without(_OURS)
    if ANY not in allowed:
        kept = _vary_by_origin(kept)
    origin = allowed_origin(request, allowed)
    if origin is None:
        return kept
    return kept.adding(
        (b"Access-Control-Allow-Origin", origin), (b"Access-Control-Expose-Headers", EXPOSED)
    )


def _vary_by_origin(fields: Fields) -> Fields:
    if b"origin" in fields.tokens(b"vary"):
        return fields
    return fields.adding((b"Vary", b"Origin"))
