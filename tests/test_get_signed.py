"""`aprp get --keys`: signatures beside Metalinks, and of files inside them."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from aprp.cli import parsers
from aprp.get.listing import listing_of
from aprp.get.options import Misunderstood, read
from aprp.upstream.metalink.parsing import parse
from tests.support.metalinks import metalink
from tests.support.mirrored_case import BYTES, honest
from tests.support.replies import File, Received, Reply, status
from tests.support.signing import signing_key
from tests.test_get import GetCase

PIECE = 256 * 1024


class KeysTests(GetCase):
    async def test_a_signature_beside_it_or_inside(self) -> None:
        keys, sign = signing_key(self)
        (url,) = await self.films(honest)
        place = self.here / "film.meta4"
        arguments = ("film.meta4", "--keys", str(keys))
        place.write_bytes(metalink(("film.mp4", BYTES, [url]), piece=PIECE))
        _, err = await self.get(*arguments, status=1)
        self.assertIn("film.meta4 isn't signed: there is no signature beside it", err)
        self.assertEqual(len(self.origins[0].requests), 0)
        beside = self.here / "film.meta4.sig"
        beside.write_bytes(sign(b"something else"))
        _, err = await self.get(*arguments, status=1)
        self.assertIn("film.meta4: the signature isn't good: BAD signature", err)
        beside.write_bytes(sign(place.read_bytes()))
        await self.get(*arguments)
        self.assertTrue((self.here / "film.mp4").read_bytes() == BYTES)
        beside.unlink()

        signed = metalink(("two.mp4", BYTES, [url]), signature=sign(BYTES), whole=False)
        place.write_bytes(signed)
        await self.get(*arguments)
        self.assertTrue((self.here / "two.mp4").read_bytes() == BYTES)
        _, err = await self.get(*arguments, "-o", "-", status=3)
        self.assertIn("can't be written to a pipe", err)
        wrong = metalink(("three.mp4", BYTES, [url]), signature=sign(BYTES[1:]))
        place.write_bytes(wrong)
        _, err = await self.get(*arguments, status=4)
        self.assertIn("three.mp4: its signature isn't good: BAD signature", err)
        self.assertNotIn("three.mp4", " ".join(self.names()))
        await self.get("film.meta4")  # which isn't asked for signatures

    async def test_at_a_url(self) -> None:
        keys, sign = signing_key(self)
        pages: dict[bytes, bytes] = {}

        def site(received: Received) -> Reply:
            path = received.target.partition(b"?")[0]
            return File(pages[path]).reply(received) if path in pages else status(404)

        (origin,) = await self.mirrors(site)
        pages[b"/film.mp4"] = b"film"
        data = metalink(("film.mp4", b"film", [origin.url + "/film.mp4"]))
        pages[b"/f.meta4"] = data
        arguments = (origin.url + "/f.meta4?x=1", "--keys", str(keys))
        await self.get(*arguments, status=1)
        pages[b"/f.meta4.asc"] = sign(data)
        await self.get(*arguments)
        self.assertEqual((self.here / "film.mp4").read_bytes(), b"film")


class ParsingTests(SynchronousTestCase):
    def test_signatures_inside(self) -> None:
        made = metalink(("f", b"f", ["http://a.example/f"]), signature=b"signed")
        self.assertEqual(parse(made, "x")[0].signature, "signed")
        other = made.replace(b"application/pgp-signature", b"application/other")
        self.assertIsNone(parse(other, "x")[0].signature)

    def test_what_is_refused(self) -> None:
        def refused(*line: str) -> str:
            parsed: Any = parsers()[0].parse_args(["get", *line])
            with self.assertRaises(Misunderstood) as caught:
                listing_of(parsed) or read(parsed)
            return str(caught.exception)

        self.assertIn("/nowhere can't be read", refused("x.meta4", "--keys", "/nowhere"))
        self.assertIn("for the signatures of", refused("http://a/x", "--keys", "/dev/null"))
