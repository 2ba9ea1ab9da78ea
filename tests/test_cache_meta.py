"""What is stored beside the body comes back as it was, and anything else is refused."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.cache.meta import Meta, meta_of, variant
from aprp.core.http.fields import Fields
from aprp.core.http.validators import ETag, Validators

FILM = Meta(
    status=200,
    reason=b"OK",
    fields=Fields([(b"Content-Type", b"video/mp4"), (b"X-Name", b"caf\xc3\xa9 \xff")]),
    complete=12345,
    validators=Validators(ETag(b"v1\xff", weak=True), 1_700_000_000, 1_700_000_100),
    vary=((b"accept", b"video/*"), (b"cookie", None)),
    requested_at=1_700_000_099.5,
    received_at=1_700_000_100.25,
)


class MetaTests(SynchronousTestCase):
    def test_it_comes_back(self) -> None:
        least = Meta(206, b"", Fields(), None)
        for meta in (FILM, least, replace(FILM, validators=Validators(), complete=0)):
            self.assertEqual(meta_of(bytes(meta)), meta)

    def test_anything_else_is_refused(self) -> None:
        whole = bytes(FILM)
        for stored in (b"", b"[]", b"{}", b"null", whole[:-1], whole.replace(b"etag", b"gate")):
            self.assertRaises(ValueError, meta_of, stored)

    def test_variants(self) -> None:
        absent, empty = variant(((b"accept", None),)), variant(((b"accept", b""),))
        self.assertEqual(len({absent, empty, variant(()), variant(FILM.vary)}), 4)
        self.assertEqual(variant(FILM.vary), variant(meta_of(bytes(FILM)).vary))
