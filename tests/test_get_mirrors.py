"""`aprp get URL` uses the mirrors that the response names."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from tests.support.mirrored_case import BYTES, FILM, SIZE, honest
from tests.support.replies import File, Pattern, Received, Reply
from tests.test_get import GetCase

DIGEST = base64.b64encode(hashlib.sha256(BYTES).digest())


def linking(*fields: tuple[bytes, bytes], content: Any = FILM) -> Any:
    """An answer at /film.mp4 with these fields; the same file is at /also/film.mp4."""

    def answer(received: Received) -> Reply:
        reply = File(content).reply(received)
        if received.target == b"/film.mp4":
            return reply.having(*fields)
        return reply

    return answer


class MirrorsTests(GetCase):
    async def test_mirrors_at_the_same_host_are_used_and_others_must_be_public(self) -> None:
        link = b"</also/film.mp4>; rel=duplicate; pri=1, <http://127.0.0.2:9999/f>; rel=duplicate"
        fields = ((b"Link", link), (b"Digest", b"SHA-256=" + DIGEST))
        (url,) = await self.films(linking(*fields), rates=[3e6])
        out, err = await self.get(url, "--json")
        self.assertTrue((self.here / "film.mp4").read_bytes() == BYTES)
        self.assertIn(f"{url} names mirrors: {self.origins[0].url}/also/film.mp4", err)
        self.assertIn("may not be reached", err)
        summary = json.loads(out)
        self.assertEqual(summary["checksum"]["found"], hashlib.sha256(BYTES).hexdigest())
        self.assertEqual(sum(each["bytes"] for each in summary["sources"]), SIZE)
        self.assertEqual(len(summary["sources"]), 3)
        asked = {received.target for received in self.origins[0].requests}
        self.assertEqual(asked, {b"/film.mp4", b"/also/film.mp4"})

    async def test_the_digest_is_verified(self) -> None:
        link = (b"Link", b"</also/film.mp4>; rel=duplicate")
        digest = (b"Repr-Digest", b"sha-256=:" + DIGEST + b":")
        (url,) = await self.films(linking(link, digest, content=Pattern(SIZE, seed=9)))
        _, err = await self.get(url, status=4)
        self.assertIn("film.mp4: its sha-256 is ", err)
        self.assertEqual(self.names(), [])

    async def test_nothing_changes_without_links(self) -> None:
        (url,) = await self.films(honest)
        _, err = await self.get(url)
        self.assertNotIn("names mirrors", err)
        self.assertTrue((self.here / "film.mp4").read_bytes() == BYTES)
