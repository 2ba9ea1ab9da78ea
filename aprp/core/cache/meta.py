"""What is stored of a response beside its body, and its form in the index."""

from __future__ import annotations

import json

from aprp.core.http.fields import Fields
from aprp.core.http.validators import ETag, Validators
from aprp.core.values import dataclass

Vary = tuple[tuple[bytes, bytes | None], ...]
"""The request fields that chose this response: lower-case names, ascending, and their values."""


_NONE = Validators()


@dataclass(frozen=True, slots=True)
class Meta:
    """A stored response without its body: one version of one representation."""

    status: int
    reason: bytes
    fields: Fields
    complete: int | None
    """The complete length in bytes; None until it is known."""
    validators: Validators = _NONE
    vary: Vary = ()
    requested_at: float = 0.0
    """When the request was sent, in Unix time."""
    received_at: float = 0.0
    """When the response arrived, in Unix time."""

    def __bytes__(self) -> bytes:
        """Return the form that `meta_of` reads."""
        etag, modified = self.validators.etag, self.validators.last_modified
        return json.dumps(
            {
                "status": self.status,
                "reason": _text(self.reason),
                "fields": [[_text(name), _text(value)] for name, value in self.fields],
                "complete": self.complete,
                "etag": None if etag is None else [_text(etag.opaque), etag.weak],
                "modified": modified,
                "date": self.validators.date,
                "vary": [[_text(n), None if v is None else _text(v)] for n, v in self.vary],
                "requested_at": self.requested_at,
                "received_at": self.received_at,
            },
            separators=(",", ":"),
        ).encode()


def meta_of(stored: bytes) -> Meta:
    """Return what was stored. Raise ValueError for anything else."""
    try:
        found = json.loads(stored)
        etag = found["etag"]
        return Meta(
            status=int(found["status"]),
            reason=_octets(found["reason"]),
            fields=Fields([(_octets(name), _octets(value)) for name, value in found["fields"]]),
            complete=None if found["complete"] is None else int(found["complete"]),
            validators=Validators(
                None if etag is None else ETag(_octets(etag[0]), bool(etag[1])),
                found["modified"],
                found["date"],
            ),
            vary=tuple((_octets(n), None if v is None else _octets(v)) for n, v in found["vary"]),
            requested_at=float(found["requested_at"]),
            received_at=float(found["received_at"]),
        )
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"is not a stored response: {error!r}") from None


def variant(vary: Vary) -> bytes:
    """Return what tells the variants under one key apart."""
    return json.dumps(
        [[_text(n), None if v is None else _text(v)] for n, v in vary], separators=(",", ":")
    ).encode()


def _text(octets: bytes) -> str:
    return octets.decode("latin-1")


def _octets(text: str) -> bytes:
    return text.encode("latin-1")
