"""Which blocks are compared, what that may miss, and which `same:` follows from what was shown."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.choices import Same
from aprp.core.http.validators import ETag, Validators
from aprp.core.recovery.same_setting import objection, strictest
from aprp.core.recovery.sampling import BLOCK, blocks_in, chance_missed, sampled
from aprp.core.recovery.versions import Facts, Representation


def shown(complete: int, digest: bytes | None = None, **validators: object) -> Facts:
    digests = frozenset(() if digest is None else {(b"sha-256", digest)})
    return Facts(complete, Representation(Validators(**validators), digests=digests))  # type: ignore[arg-type]


class SampledTests(SynchronousTestCase):
    @given(st.integers(0, 100 * BLOCK), st.integers(2, 120), st.integers())
    def test_blocks(self, complete: int, count: int, seed: int) -> None:
        blocks = sampled(complete, count, random.Random(seed).sample)
        self.assertEqual(len(blocks), min(max(count, 2), blocks_in(complete)))
        self.assertEqual(list(blocks), sorted(set(blocks), key=lambda each: each.start))
        for each in blocks:
            self.assertEqual(each.start % BLOCK, 0)
            self.assertEqual(each.stop, min(each.start + BLOCK, complete))
        if blocks:
            self.assertEqual((blocks[0].start, blocks[-1].stop), (0, complete))

    def test_the_chance_is_that_of_drawing_without_replacement(self) -> None:
        for inner, picked, differing in ((10, 3, 2), (98, 62, 1), (98, 0, 5), (4, 4, 1), (5, 4, 2)):
            expected = math.comb(inner - differing, picked) / math.comb(inner, picked)
            chance = chance_missed((inner + 2) * BLOCK, picked + 2, differing)
            self.assertAlmostEqual(chance, expected)

    def test_nothing_is_missed_where_all_is_compared(self) -> None:
        self.assertEqual(chance_missed(5 * BLOCK, 5, 1), 0.0)
        self.assertEqual(chance_missed(0, 0, 1), 0.0)


class SettingTests(SynchronousTestCase):
    def test_the_strictest_that_holds(self) -> None:
        tag = ETag(b"v")
        for found, expected in (
            ([shown(5, b"x", etag=tag), shown(5, b"x")], Same.DIGEST),
            ([shown(5, b"x", etag=tag), shown(5, b"y", etag=tag)], Same.MODIFIED),
            ([shown(5, last_modified=1, date=9), shown(5, last_modified=1, date=9)], Same.MODIFIED),
            ([shown(5, last_modified=9, date=9), shown(5, last_modified=9, date=9)], Same.LENGTH),
            ([shown(5, etag=tag), shown(5)], Same.LENGTH),
            ([shown(5), shown(6)], None),
            ([shown(5, etag=tag)], Same.MODIFIED),
        ):
            self.assertEqual(strictest(found), expected, found)

    def test_who_objects(self) -> None:
        tag = ETag(b"v")
        found = [shown(5, etag=tag), shown(5, etag=tag), shown(5, etag=ETag(b"w"))]
        number, why = objection(Same.MODIFIED, found) or (-1, "")
        self.assertEqual(number, 2)
        self.assertIn("shares no strong validator", why)
        self.assertEqual((objection(Same.DIGEST, found) or (-1, ""))[0], 0)
