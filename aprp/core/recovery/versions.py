"""Whether bytes of two responses may go into one body (RFC 9110 section 15.3.7.3).

The rules, for one upstream and for many sources alike:

- A source that is asked again must show the validator that it showed first: the same entity tag,
  or, where it has none, the same Last-Modified. What shows neither isn't a continuation.
- Under `same: digest` an equal SHA-256 or SHA-512 digest proves that the version is the same,
  whatever the validators are.
- Under `same: length` a Last-Modified that is a strong validator in neither response proves
  nothing: servers give what they generate the time of the response.
- Responses of different sources, and the first two of one source, are combined only if they have in
  common (a) a strong entity tag, or (b) under `same: modified` the complete length and a
  Last-Modified that is a strong validator, or (c) under `same: digest` a digest of the whole, or
  (d) under `same: length` the complete length, because the operator says so.
- Last-Modified is a strong validator if it is older than Date (section 8.8.2.2). A response without
  Date is dated a minute before it was received, since the clocks may differ (section 6.6.1).
"""

from __future__ import annotations

from dataclasses import field, replace

from aprp.core.choices import Same
from aprp.core.http.fields import Fields, split_list
from aprp.core.http.validators import CLOCKS_APART, ETag, Validators, format_date
from aprp.core.values import dataclass

Digests = frozenset[tuple[bytes, bytes]]
"""Pairs of an algorithm, in lower case, and a digest in base 64."""

_PROOFS = frozenset((b"sha-256", b"sha-512"))
"""Algorithms by which no two versions have the same digest (RFC 9530 section 5)."""

_DESCRIBING = frozenset(
    (
        *(b"age", b"cache-control", b"content-disposition", b"content-language", b"expires"),
        *(b"cross-origin-resource-policy", b"pragma", b"timing-allow-origin", b"vary"),
        *(b"x-content-type-options",),
    )
)


def dated(shown: Validators, received: int) -> Validators:
    """Return the validators of a response received at that unix time, dated if it has no Date."""
    return shown if shown.date is not None else replace(shown, date=received - CLOCKS_APART)


@dataclass(frozen=True, slots=True)
class Representation:
    """What a response says about the file besides its length."""

    validators: Validators = field(default_factory=Validators)
    media_type: bytes | None = None
    digests: Digests = frozenset()
    fields: Fields = field(default_factory=Fields)
    """Further fields that go to the client as they are."""
    links: tuple[bytes, ...] = ()
    """The values of its Link fields."""

    @classmethod
    def of(cls, shown: Validators, fields: Fields) -> Representation:
        """Return what the fields of a response say; `shown` are its validators."""
        kept = [
            pair
            for pair in fields.pairs
            if (name := pair[0].lower()) in _DESCRIBING
            or name[:15] == b"access-control-"
            or name[-8:] == b"-control"  # such as CDN-Cache-Control (RFC 9213)
        ]
        links = tuple(fields.all(b"link"))
        return cls(shown, fields.get(b"content-type"), digests_of(fields), Fields(kept), links)


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts about a file: its complete length in bytes, and what it is."""

    complete: int
    shown: Representation = field(default_factory=Representation)

    @property
    def validators(self) -> Validators:
        """The validators of the response that these facts are from."""
        return self.shown.validators

    @property
    def last_modified(self) -> int | None:
        """Last-Modified in unix time, None where there was none."""
        return self.shown.validators.last_modified

    @property
    def media_type(self) -> bytes | None:
        """The value of Content-Type."""
        return self.shown.media_type

    @property
    def digests(self) -> Digests:
        """The digests of the whole file that were given."""
        return self.shown.digests

    def same_version(self, other: Facts) -> bool:
        """Return whether no validator that both have distinguishes the two."""
        mine, theirs = self.validators, other.validators
        return (self.complete, mine.etag, mine.last_modified) == (
            other.complete,
            theirs.etag,
            theirs.last_modified,
        )


def change(first: Validators, later: Validators, same: Same = Same.MODIFIED) -> str | None:
    """Return why a later response of one place isn't of the version that it showed first.

    Under `same: length` and `same: digest` a response may show neither entity tag nor
    Last-Modified, or a Last-Modified that is only the time of the response: length or digest
    decide.
    """
    if same != Same.MODIFIED and later.etag is None and later.last_modified is None:
        return None
    if first.etag != later.etag:
        return f"has changed its file: the ETag was {_tag(first.etag)}, is {_tag(later.etag)}"
    if first.etag is not None and not first.etag.weak:
        return None
    if same != Same.MODIFIED and not (first.modified_is_strong or later.modified_is_strong):
        return None
    if first.last_modified is not None and first.last_modified != later.last_modified:
        return (
            f"has changed its file: Last-Modified was {_date(first.last_modified)}, "
            f"is {_date(later.last_modified)}"
        )
    return None


def proven(found: Facts, known: Facts | None, same: Same) -> bool:
    """Return whether a digest proves that two responses are of the same version."""
    if same != Same.DIGEST or known is None or found.complete != known.complete:
        return False
    return any(name in _PROOFS for name, _ in found.digests & known.digests)


def combinable(first: Facts, same: Same) -> bool:
    """Return whether blocks of several responses may be combined at all with this first one."""
    if same == Same.LENGTH:
        return True
    if same == Same.DIGEST:
        return bool(first.digests)
    return has_strong_tag(first.validators) or first.validators.modified_is_strong


def disagreement(found: Facts, known: Facts | None, same: Same) -> str | None:
    """Return why two responses aren't combined, with the setting that would admit it.

    None means that they may be. Without `known` there is no other response yet.
    """
    if same == Same.DIGEST and not found.digests:
        return "gives no digest, and `same: digest` asks for one"
    if known is None:
        return None
    if found.complete != known.complete:
        return f"has another file: {found.complete} bytes, not {known.complete}"
    if same == Same.MODIFIED:
        return _validators_differ(found.validators, known.validators)
    if same == Same.DIGEST:
        return _digests_differ(found.digests, known.digests)
    return None


def has_strong_tag(shown: Validators) -> bool:
    """Return whether there is an entity tag that isn't weak."""
    return shown.etag is not None and not shown.etag.weak


def digests_of(fields: Fields) -> Digests:
    """Return the digests of the whole file that a response gives.

    They are those of RFC 9530's Repr-Digest and RFC 3230's Digest.
    """
    found = set()
    for item in split_list(fields.get(b"repr-digest") or b""):
        name, equals, value = item.partition(b"=")
        if equals and len(value) > 2 and value[:1] == value[-1:] == b":":
            found.add((name.lower(), value[1:-1]))
    for item in split_list(fields.get(b"digest") or b""):
        name, equals, value = item.partition(b"=")
        if equals and value:
            found.add((name.lower(), value))
    return frozenset(found)


def _validators_differ(found: Validators, known: Validators) -> str | None:
    given = found.last_modified is not None and known.last_modified is not None
    if given and found.last_modified == known.last_modified:
        if found.modified_is_strong and known.modified_is_strong:
            return None
    elif given:
        return f"has another file: Last-Modified is {_dates(found, known)}"
    if found.etag is not None and found.etag.same_strongly(known.etag):
        return None
    return (
        "can't be known to have the same file: it shares no strong validator; "
        f"its ETag is {_tag(found.etag)}, not {_tag(known.etag)}, Last-Modified is "
        f"{_dates(found, known)}"
    )


def _dates(found: Validators, known: Validators) -> str:
    admit = "`same: length` would admit it"
    return f"{_date(found.last_modified)}, not {_date(known.last_modified)}; {admit}"


def _digests_differ(found: Digests, known: Digests) -> str | None:
    algorithms = {name for name, _ in found} & {name for name, _ in known}
    if not algorithms:
        return "gives no digest of a kind that the others give"
    if any((pair in found) != (pair in known) for pair in found | known if pair[0] in algorithms):
        return "has another file: its digest differs"
    return None


def _tag(tag: ETag | None) -> str:
    return "not given" if tag is None else bytes(tag).decode("latin-1")


def _date(seconds: int | None) -> str:
    return "not given" if seconds is None else format_date(seconds).decode()
