"""What pages of other sites may read."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.cors import EXPOSED, is_preflight, preflight_fields, with_cors
from aprp.core.http.fields import Fields

PLAYER = b"https://player.example"
ALLOWED = frozenset((PLAYER,))
ANY = frozenset((b"*",))


def asked(origin: bytes) -> Fields:
    return Fields(((b"Origin", origin), (b"Access-Control-Request-Method", b"GET")))


class CorsTests(SynchronousTestCase):
    def test_preflights(self) -> None:
        self.assertTrue(is_preflight(b"OPTIONS", asked(PLAYER)))
        self.assertFalse(is_preflight(b"GET", asked(PLAYER)))
        self.assertFalse(is_preflight(b"OPTIONS", Fields(((b"Origin", PLAYER),))))

    def test_an_allowed_origin_may_ask_for_ranges(self) -> None:
        fields = preflight_fields(asked(PLAYER), ALLOWED)
        self.assertEqual(fields.get(b"access-control-allow-origin"), PLAYER)
        self.assertIn(b"range", fields.tokens(b"access-control-allow-headers"))
        self.assertEqual(fields.get(b"vary"), b"Origin")

    def test_another_origin_is_told_nothing(self) -> None:
        for fields in (
            preflight_fields(asked(b"https://evil.example"), ALLOWED),
            with_cors(Fields(), asked(b"https://evil.example"), ALLOWED),
        ):
            self.assertEqual(fields.pairs, ((b"Vary", b"Origin"),))

    def test_responses_expose_content_range(self) -> None:
        fields = with_cors(Fields(((b"Content-Range", b"bytes 0-1/2"),)), asked(PLAYER), ALLOWED)
        self.assertEqual(fields.get(b"access-control-expose-headers"), EXPOSED)
        self.assertIn(b"Content-Range", EXPOSED)

    def test_any_origin_needs_no_vary(self) -> None:
        fields = with_cors(Fields(), asked(b"https://x.example"), ANY)
        self.assertEqual(fields.get(b"access-control-allow-origin"), b"*")
        self.assertNotIn(b"vary", fields)

    def test_what_the_upstream_says_of_origins_is_replaced(self) -> None:
        told = Fields(((b"Access-Control-Allow-Origin", b"*"), (b"Vary", b"Accept, Origin")))
        fields = with_cors(told, asked(PLAYER), ALLOWED)
        self.assertEqual(fields.all(b"access-control-allow-origin"), [PLAYER])
        self.assertEqual(fields.all(b"vary"), [b"Accept, Origin"])
