"""What a proxy does to fields on their way (RFC 9110 section 7.6), and to Location."""

from __future__ import annotations

from aprp.core.fields import Fields
from aprp.core.ranges import number
from aprp.core.targets import under

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
NEVER_NOMINATED = frozenset(
    (b"content-encoding", b"content-length", b"content-range", b"content-type", b"host", b"via")
)
"""Fields that a Connection field can't take away: framing, meaning, routing and the trace."""
PSEUDONYM = b"aprp"
CONDITIONS = frozenset(
    (
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"if-range",
        b"range",
    )
)


def end_to_end(fields: Fields) -> Fields:
    """The fields less those that are for the next hop only, nominated ones among them."""
    nominated = frozenset(fields.tokens(b"connection")) - NEVER_NOMINATED
    return fields.without(HOP_BY_HOP | nominated)


def with_via(fields: Fields, minor: int) -> Fields:
    """Via with this hop at its end; `minor` is the y of the HTTP/1.y that was received."""
    hop = b"1.%d %s" % (minor, PSEUDONYM)
    earlier = fields.get(b"via")
    via = hop if earlier is None else earlier + b", " + hop
    return fields.without((b"via",)).adding((b"Via", via))


def with_forwarded(fields: Fields, client: bytes, scheme: bytes, host: bytes) -> Fields:
    """X-Forwarded-*: the client is added to those before it, scheme and host are our own word."""
    earlier = fields.get(b"x-forwarded-for")
    chain = client if earlier is None else earlier + b", " + client
    kept = fields.without((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"))
    added = kept.adding((b"X-Forwarded-For", chain), (b"X-Forwarded-Proto", scheme))
    return added.adding((b"X-Forwarded-Host", host)) if host else added


def with_own(fields: Fields, own: tuple[tuple[bytes, bytes], ...]) -> Fields:
    """The fields with those of the configuration in place of their namesakes."""
    return fields.without(name.lower() for name, _ in own).adding(*own) if own else fields


def hops_left(fields: Fields) -> int | None:
    """Max-Forwards (RFC 9110 section 7.6.2), None if absent or not a number."""
    value = fields.get(b"max-forwards")
    return None if value is None else number(value)


def rewrite_location(value: bytes, origin: bytes, base: bytes, prefix: bytes) -> bytes:
    """A Location that points into the upstream, as the client has to ask for it.

    `origin` is the upstream's `scheme://authority`, `base` the path of its URL, `prefix` the path
    of the route. What points elsewhere stays as it is.
    """
    path = value
    if value[: len(origin)].lower() == origin.lower():
        path = value[len(origin) :] or b"/"
    if not path.startswith(b"/") or path.startswith(b"//"):
        return value
    end = min((at for at in (path.find(b"?"), path.find(b"#")) if at >= 0), default=len(path))
    rest = under(base, path[:end])
    if rest is None:
        return value
    return (prefix.rstrip(b"/") + rest or b"/") + path[end:]
