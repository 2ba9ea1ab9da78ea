"""What a `sources:` route stores of a file beside its bytes, and what it makes of that."""

from __future__ import annotations

from aprp.cache.cached_file import CachedFile
from aprp.config import RouteCacheSettings
from aprp.core.cache.meta import Meta
from aprp.core.choices import Same
from aprp.core.http.caching.policy import Policy
from aprp.core.http.caching.response import Response
from aprp.core.http.caching.storing import storable, stored_fields
from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.validators import format_date
from aprp.core.recovery.versions import Facts, Representation, combinable, disagreement
from aprp.core.values import dataclass

NO_FIELDS = Fields()
"""Fields of the client that the sources get."""


@dataclass(frozen=True, slots=True)
class Known:
    """A stored file: its facts, and its response as the rules of caching see it."""

    facts: Facts
    response: Response


def policy_of(settings: RouteCacheSettings) -> Policy:
    """Return what a route lets its cache do."""
    valid = None if settings.valid is None else int(settings.valid)
    targeted = tuple(name.lower().encode("ascii") for name in settings.targeted)
    return Policy(valid=valid, targeted=targeted)


def known_of(meta: Meta) -> Known:
    """Return what is stored, as routes use it."""
    assert meta.complete is not None
    facts = Facts(meta.complete, Representation.of(meta.validators, meta.fields))
    response = Response(meta.status, meta.fields, meta.requested_at, meta.received_at)
    return Known(facts, response)


def known_of_file(file: CachedFile) -> Known:
    """Return what is known of a cached file, which remembers it."""
    if file.derived is None:
        file.derived = known_of(file.meta)
    known: Known = file.derived
    return known


def meta_of(facts: Facts, requested_at: float, received_at: float, policy: Policy) -> Meta:
    """Return what is stored of a file. Times are Unix times of the request that showed it."""
    response = Response(200, _fields_of(facts), requested_at, received_at)
    return Meta(
        status=200,
        reason=b"",
        fields=stored_fields(response, policy),
        complete=facts.complete,
        validators=facts.validators,
        requested_at=requested_at,
        received_at=received_at,
    )


def may_keep(facts: Facts, meta: Meta, same: Same, policy: Policy) -> bool:
    """Return whether a file may be kept: its parts can be combined, and its sources let it."""
    response = Response(200, _fields_of(facts), meta.requested_at, meta.received_at)
    return combinable(facts, same) and bool(storable(b"GET", NO_FIELDS, response, policy))


def unchanged(stored: Facts, found: Facts, same: Same) -> bool:
    """Return whether the sources still have the stored version.

    Under `same: length` another file of the same length can't be told from it by its length, so
    that validators have to agree as well.
    """
    if same is Same.LENGTH:
        return stored.same_version(found)
    return disagreement(found, stored, same) is None


def _fields_of(facts: Facts) -> Fields:
    """Return the fields of a response that has the whole file.

    There is no Date: of several sources, the age counts from when their response was received.
    """
    shown = facts.shown
    lines: Pairs = ()
    if shown.validators.etag is not None:
        lines += ((b"ETag", bytes(shown.validators.etag)),)
    if shown.validators.last_modified is not None:
        lines += ((b"Last-Modified", format_date(shown.validators.last_modified)),)
    if shown.media_type is not None:
        lines += ((b"Content-Type", shown.media_type),)
    if shown.digests:
        digests = (name + b"=" + value for name, value in sorted(shown.digests))
        lines += ((b"Digest", b", ".join(digests)),)
    lines += tuple((b"Link", link) for link in shown.links)
    return Fields(lines + shown.fields.pairs)
