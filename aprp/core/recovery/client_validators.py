"""The validators that clients are shown: the same after a restart, and whichever source answers
first.

An entity tag is strong only if it changes whenever the bytes do (RFC 9110 section 8.8.1):

- with one source its own tag is handed on;
- under `same: modified` the tag is made of path, length and Last-Modified; it is strong if
  Last-Modified is;
- under `same: digest` it is made of path, length and the SHA-256 digest, the one algorithm that
  the tag can rest on whichever source answers first;
- where pieces are verified, it is made of path and the identity of their proof, and is strong;
- otherwise there is none.
"""

from __future__ import annotations

import hashlib

from aprp.core.choices import Same
from aprp.core.http.validators import ETag, Validators
from aprp.core.recovery.versions import Facts

DIGEST = b"sha-256"


def client_validators(
    path: bytes, facts: Facts, same: Same, one_source: bool, identity: str | None = None
) -> Validators:
    """Return what a client is shown of the file at `path`; `identity` is that of its pieces."""
    shown = facts.validators
    if identity is not None:
        return Validators(_hashed([path, identity.encode("ascii")], weak=False), None, shown.date)
    tag = shown.etag if one_source and shown.etag is not None else _tag_for(path, facts, same)
    modified = facts.last_modified if same == Same.MODIFIED else None
    return Validators(tag, modified, shown.date)


def _tag_for(path: bytes, facts: Facts, same: Same) -> ETag | None:
    made_of = [path, b"%d" % facts.complete]
    if same == Same.MODIFIED and facts.last_modified is not None:
        made_of.append(b"%d" % facts.last_modified)
        return _hashed(made_of, weak=not facts.validators.modified_is_strong)
    if same == Same.DIGEST:
        values = sorted(value for name, value in facts.digests if name == DIGEST)
        if len(values) == 1:
            return _hashed([*made_of, DIGEST, values[0]], weak=False)
    return None


def _hashed(made_of: list[bytes], weak: bool) -> ETag:
    return ETag(hashlib.sha256(b"\n".join(made_of)).hexdigest()[:24].encode(), weak)
