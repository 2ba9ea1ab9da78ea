"""Revalidation: conditional requests, and what their responses change (RFC 9111 sections 3.2,
4.3 and 4.3.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aprp.core.http.caching.policy import Policy
from aprp.core.http.caching.response import Response
from aprp.core.http.caching.storing import stored_fields
from aprp.core.http.caching.vary import vary_key
from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.heads import declared_length
from aprp.core.http.validators import ETag, Validators

MOST_TAGS = 16
"""Entity tags in one conditional request."""

NOT_UPDATED = frozenset((b"content-encoding", b"content-length", b"content-range", b"etag"))
"""Fields of the stored bytes themselves, which a response without them can't change. A strong
entity tag that matches a weak one is that of bytes that may differ from those stored.
"""


def conditional(stored: Sequence[Response]) -> Pairs:
    """Return the fields that ask whether one of these responses is still right (section 4.3.1).

    Empty if none of them has a validator. If-Modified-Since can speak of one response only.
    """
    tags: list[bytes] = []
    for each in stored:
        etag = Validators.of(each.fields).etag
        if etag is not None and bytes(etag) not in tags:
            tags.append(bytes(etag))
    lines: list[tuple[bytes, bytes]] = []
    if tags:
        lines.append((b"If-None-Match", b", ".join(tags[:MOST_TAGS])))
    if len(stored) == 1 and Validators.of(stored[0].fields).last_modified is not None:
        lines.append((b"If-Modified-Since", stored[0].fields.all(b"last-modified")[0]))
    return tuple(lines)


def confirmed(stored: Sequence[Response], answer: Fields) -> Response | None:
    """Return the stored response that a 304 with these fields is about (section 4.3.4).

    None if it isn't about any, so that nothing may be sent on its word.
    """
    said = Validators.of(answer)
    if said.etag is not None:
        strongly = [each for each in stored if said.etag.same_strongly(_etag(each))]
        weakly = [each for each in stored if said.etag.same_weakly(_etag(each))]
        return _newest(strongly or weakly)
    if b"etag" in answer:
        return None
    if said.last_modified is not None:
        dated = [
            each
            for each in stored
            if Validators.of(each.fields).last_modified == said.last_modified
        ]
        return _newest(dated)
    return stored[0] if len(stored) == 1 else None


def _etag(response: Response) -> ETag | None:
    return Validators.of(response.fields).etag


def _newest(found: Sequence[Response]) -> Response | None:
    return max(found, key=lambda each: each.received_at, default=None)


def updated(stored: Response, answer: Response, request: Fields, policy: Policy) -> Response:
    """Return the stored response with the fields of a 304, or of a HEAD's 200 (section 3.2).

    A field of the answer replaces all of the stored ones with its name. An Age that the answer
    doesn't have is removed, since its time counts from now. `request` has the fields that were
    sent, by which another Vary selects.
    """
    fresh = stored_fields(answer, policy).without(NOT_UPDATED)
    names = {name.lower() for name, _ in fresh} | {b"age"}
    merged = replace(stored, fields=Fields((*stored.fields.without(names), *fresh)))
    return replace(
        stored,
        fields=stored_fields(merged, policy),
        requested_at=answer.requested_at,
        received_at=answer.received_at,
        vary={**stored.vary, **dict(vary_key(merged.fields, request) or ())},
    )


def same_as_head(stored: Response, complete: int | None, head: Fields) -> bool:
    """Whether a HEAD's 200 shows that the stored response is still right (section 4.3.5).

    Everything that it says of the representation has to match, a validator among it. Another
    version may have the same length: this is stricter than the RFC.
    """
    mine, said = Validators.of(stored.fields), Validators.of(head)
    length = declared_length(head)
    if said.etag is not None and not said.etag.same_weakly(mine.etag):
        return False
    if said.last_modified is not None and said.last_modified != mine.last_modified:
        return False
    if length is not None and length != complete:
        return False
    return said.etag is not None or said.last_modified is not None
