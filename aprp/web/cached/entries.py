"""What an `upstream:` route stores of responses, and what it makes of them when they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aprp.cache.cached_file import CachedFile
from aprp.core.cache.meta import Meta
from aprp.core.http.caching.policy import Policy
from aprp.core.http.caching.response import Response
from aprp.core.http.caching.reuse import Use
from aprp.core.http.caching.storing import stored_fields
from aprp.core.http.caching.vary import choose, vary_key
from aprp.core.http.fields import Fields
from aprp.core.http.forwarding import with_via
from aprp.core.http.heads import ResponseHead
from aprp.core.http.ranges import Range
from aprp.core.http.validators import Validators, format_date
from aprp.core.recovery.versions import dated
from aprp.core.values import dataclass
from aprp.web.responding import OF_THE_CONTENT


def response_of(meta: Meta) -> Response:
    """Return a stored response as the rules see it."""
    return Response(meta.status, meta.fields, meta.requested_at, meta.received_at, dict(meta.vary))


def received(head: ResponseHead, requested_at: float, received_at: float) -> Response:
    """Return a response of the upstream as the rules see it, with a Date (RFC 9110 section 6.6.1).

    A 206 stands for the representation that it has a part of.
    """
    fields = with_via(head.fields, head.version)
    if b"date" not in fields:
        fields = fields.adding((b"Date", format_date(int(received_at))))
    return Response(head.status, fields, requested_at, received_at)


def meta_for(
    response: Response, reason: bytes, complete: int, request: Fields, policy: Policy
) -> Meta:
    """Return what is stored of a response to a request with these fields."""
    part = response.status == 206
    fields = stored_fields(response, policy).without((b"content-length",))
    return Meta(
        status=200 if part else response.status,
        reason=b"" if part else reason,
        fields=fields.without(OF_THE_CONTENT) if part else fields,
        complete=complete,
        validators=dated(Validators.of(fields), int(response.received_at)),
        vary=vary_key(response.fields, request) or (),
        requested_at=response.requested_at,
        received_at=response.received_at,
    )


def refreshed(meta: Meta, response: Response) -> Meta:
    """Return what is stored of a response that was found unchanged, as `response` has it now."""
    return replace(
        meta,
        fields=response.fields,
        vary=tuple(sorted(response.vary.items())),
        requested_at=response.requested_at,
        received_at=response.received_at,
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored response and its file."""

    file: CachedFile
    response: Response

    @property
    def combinable(self) -> bool:
        """Whether missing bytes of it can be fetched: it is a file with a strong validator."""
        meta = self.file.meta
        return meta.status == 200 and meta.validators.strong() is not None

    @property
    def at_stake(self) -> bool:
        """Whether it is stored and can't be fetched again if a block of it turns out to be bad."""
        return not self.combinable and not self.file.fetches and self.file.complete > 0

    @property
    def usable(self) -> bool:
        """Whether a request can get all bytes: they are there or coming, or can be fetched."""
        return self.combinable or self.has(Range(0, self.file.complete), coming=True)

    def has(self, wanted: Range, coming: bool = False) -> bool:
        """Whether all of these bytes are there or, with `coming`, on their way."""
        return has(self.file, wanted, coming)


def has(file: CachedFile, wanted: Range, coming: bool = False) -> bool:
    """Whether all of these bytes are there; or `coming`, if a fetch will bring the first soon."""
    return file.has(wanted) or (coming and file.fetch_for(wanted.start) is not None)


def entries_of(files: Sequence[CachedFile]) -> list[Entry]:
    """Return the entries that a request can use, if it selects them."""
    entries = (Entry(file, _response(file)) for file in files)
    return [entry for entry in entries if entry.usable]


def _response(file: CachedFile) -> Response:
    """Return the stored response of a file, made once for each state of it."""
    if file.derived is None:
        file.derived = response_of(file.meta)
    response: Response = file.derived
    return response


def entry_for(entries: Sequence[Entry], request: Fields) -> Entry | None:
    """Return the entry that a request with these fields selects."""
    chosen = choose([entry.response for entry in entries], request)
    return next((entry for entry in entries if entry.response is chosen), None)


def sent_fields(response: Response, use: Use, validated: bool = False) -> Fields:
    """Return the fields with which a stored response is sent (section 4).

    One that was validated just now has no Age unless its origin gave one (section 5.1).
    """
    if validated and use.age == 0:
        return response.fields.without((b"age",))
    return response.fields.without((b"age",)).adding((b"Age", b"%d" % use.age))
