"""Which stored response answers a request: Vary (RFC 9111 section 4.1).

A field's value is normalised before it is compared: lines are combined, white space around
commas is made one space. Codings and media types are compared without case and, since their order
means nothing, in any order; languages without case; parameters as they are. Of fields that hold
secrets there is a digest, since these values are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256

from aprp.core.http.caching.freshness import generated_at
from aprp.core.http.caching.response import Response
from aprp.core.http.fields import TOKEN, Fields, split_list

MOST_FIELDS = 16
"""A Vary that names more fields than this counts as `*`."""

_UNORDERED = frozenset((b"accept", b"accept-charset", b"accept-encoding"))
_CASELESS = _UNORDERED | {b"accept-language"}
_SINGLE = frozenset((b"from", b"host", b"origin", b"referer", b"user-agent"))
"""Fields that aren't lists; a comma in them means nothing."""
_SECRET = frozenset((b"authorization", b"cookie"))
"""The same, and they say who the client is."""

VaryKey = tuple[tuple[bytes, bytes | None], ...]


def vary_names(response: Fields) -> tuple[bytes, ...] | None:
    """Return the names in Vary, in lower case and alphabetical order; None for `*`.

    A name that isn't a token counts as `*`: what the response depends on isn't known. A coded
    response depends on Accept-Encoding, whether it says so or not.
    """
    names = set(response.tokens(b"vary"))
    if not set(response.tokens(b"content-encoding")) <= {b"identity"}:
        names.add(b"accept-encoding")
    if b"*" in names or len(names) > MOST_FIELDS:
        return None
    if any(TOKEN.fullmatch(name) is None for name in names):
        return None
    return tuple(sorted(names))


def vary_key(response: Fields, request: Fields) -> VaryKey | None:
    """Return the fields of the request that select the response; None if no other request can."""
    names = vary_names(response)
    return None if names is None else tuple((name, normalised(request, name)) for name in names)


def normalised(request: Fields, name: bytes) -> bytes | None:
    """Return the value of that lower-case name in its comparable form; None if it is absent."""
    value = request.get(name)
    if value is None or name in _SINGLE:
        return value
    if name in _SECRET:
        return sha256(value).hexdigest().encode()
    members = split_list(value)
    if name in _CASELESS:
        members = [_folded(member) for member in members]
    if name in _UNORDERED:
        members = sorted(set(members))
    return b", ".join(members)


def _folded(member: bytes) -> bytes:
    """Return a member of one of the `_CASELESS` fields with its name in lower case. What its
    parameters mean may depend on case (RFC 9110 section 5.6.6).
    """
    name, semicolon, parameters = member.partition(b";")
    if b'"' not in parameters:
        parameters = b";".join(each.strip(b" \t") for each in parameters.split(b";"))
    return b"".join(name.lower().split()) + semicolon + parameters


def selected(request: Fields, vary: Mapping[bytes, bytes | None]) -> bool:
    """Whether a request has the fields by which a response was selected."""
    return all(normalised(request, name) == value for name, value in vary.items())


def choose(stored: Iterable[Response], request: Fields) -> Response | None:
    """Return the response that answers the request; of several, the one that was made last."""
    fitting = [each for each in stored if _answers(each, request)]
    return max(fitting, key=_made, default=None)


def _answers(response: Response, request: Fields) -> bool:
    """Whether the request has the fields by which the response was selected, all of them known."""
    names = vary_names(response.fields)
    if names is None or not response.vary.keys() >= set(names):
        return False
    return selected(request, response.vary)


def _made(response: Response) -> tuple[float, float]:
    return generated_at(response), response.received_at
