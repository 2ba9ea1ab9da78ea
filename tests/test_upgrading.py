"""Which upgrades are offered, and which 101 is believed (RFC 9110 section 7.8, RFC 6455)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.fields import Fields
from aprp.core.http.heads import MalformedMessage, ResponseHead
from aprp.core.http.upgrading import BadUpgrade, Offer, accept_of, offer_of

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
ASKED = (
    (b"Connection", b"keep-alive, Upgrade"),
    (b"Upgrade", b"WebSocket"),
    (b"Sec-WebSocket-Key", KEY),
)
ACCEPTED = (
    (b"Connection", b"upgrade"),
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Accept", ACCEPT),
)


def having(pairs: tuple[tuple[bytes, bytes], ...], name: bytes, *values: bytes) -> Fields:
    """The fields with these values of that name."""
    return Fields(pairs).without((name.lower(),)).adding(*((name, value) for value in values))


class OfferTests(SynchronousTestCase):
    def offer(
        self, fields: Fields, method: bytes = b"GET", minor: int = 1, protocol: bytes = b"websocket"
    ) -> Offer | None:
        return offer_of(method, minor, fields, (protocol,))

    def test_websocket(self) -> None:
        self.assertEqual(self.offer(Fields(ASKED)), Offer(b"websocket", KEY))

    def test_one_of_several(self) -> None:
        fields = having(ASKED, b"Upgrade", b"h2c, websocket", b"other/1")
        self.assertEqual(self.offer(fields), Offer(b"websocket", KEY))
        self.assertEqual(self.offer(fields, protocol=b"other/1"), Offer(b"other/1"))

    def test_none(self) -> None:
        for fields in (
            Fields(),
            having(ASKED, b"Connection", b"keep-alive"),
            having(ASKED, b"Connection"),
            having(ASKED, b"Upgrade"),
            having(ASKED, b"Upgrade", b"h2c"),
            having(ASKED, b"Upgrade", b"websocket/13"),
        ):
            self.assertIsNone(self.offer(fields), fields)
        self.assertIsNone(self.offer(Fields(ASKED), method=b"POST"))
        self.assertIsNone(self.offer(Fields(ASKED), method=b"HEAD"))
        self.assertIsNone(self.offer(Fields(ASKED), minor=0))
        self.assertIsNone(offer_of(b"GET", 1, Fields(ASKED), ()))

    def test_a_handshake_has_one_key(self) -> None:
        for values in ((), (KEY, KEY), (b"short",), (b"!" * 24,), (b"",)):
            fields = having(ASKED, b"Sec-WebSocket-Key", *values)
            self.assertRaises(BadUpgrade, self.offer, fields)


class AcceptTests(SynchronousTestCase):
    offer = Offer(b"websocket", KEY)

    def test_the_example_of_the_rfc(self) -> None:
        self.assertEqual(accept_of(KEY), ACCEPT)

    def test_right(self) -> None:
        self.offer.check(ResponseHead(1, 101, b"", Fields(ACCEPTED)))
        upper = having(ACCEPTED, b"Upgrade", b"WebSocket")
        self.offer.check(ResponseHead(1, 101, b"", upper))

    def test_wrong(self) -> None:
        for fields in (
            having(ACCEPTED, b"Connection"),
            having(ACCEPTED, b"Connection", b"close"),
            having(ACCEPTED, b"Upgrade"),
            having(ACCEPTED, b"Upgrade", b"h2c"),
            having(ACCEPTED, b"Upgrade", b"websocket, h2c"),
            having(ACCEPTED, b"Sec-WebSocket-Accept"),
            having(ACCEPTED, b"Sec-WebSocket-Accept", KEY),
            having(ACCEPTED, b"Sec-WebSocket-Accept", ACCEPT, ACCEPT),
        ):
            head = ResponseHead(1, 101, b"", fields)
            self.assertRaises(MalformedMessage, self.offer.check, head)
        old = ResponseHead(0, 101, b"", Fields(ACCEPTED))
        self.assertRaises(MalformedMessage, self.offer.check, old)
