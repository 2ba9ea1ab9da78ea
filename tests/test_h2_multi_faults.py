"""Mirrors of HTTP/2 that fail in every way of HTTP/1.1, and in those that only HTTP/2 has.

The faults of HTTP/1.1 are those of `tests.test_multi_faults`, the others those of
`tests.test_h2_upstreams_that_lie`. The client must not notice any.
"""

from __future__ import annotations

import re
from typing import Any

from tests import test_multi_faults as plain
from tests.support.h2_mirror import Frames, H2Mirror
from tests.support.mirrored_case import BYTES, MirroredCase, honest
from tests.support.replies import Received
from tests.test_h2_upstreams_that_lie import CONNECTIONS, STREAMS, Lie


class H2FaultTests(plain.FaultTests):
    origin_kind = H2Mirror
    not_http = "breaks the rules|a frame of"


class H2MidwayTests(plain.MidwayTests):
    origin_kind = H2Mirror


class LyingFrameTests(MirroredCase):
    """Each row of the tables of frames, after two honest answers."""

    origin_kind = H2Mirror


def _add(lie: Lie) -> None:
    def later(received: Received) -> Any:
        return honest(received) if received.number < 3 else [Frames(lie.steps)]

    async def test(self: LyingFrameTests) -> None:
        origins = await self.mirrors(later, honest, rates=(10e6, 10e6))
        got = await self.ask(self.in_front_of(origins, **plain.PATIENT), "/f")
        self.assertEqual((got.status, got.whole, got.body == BYTES), (200, True, True))

    name = re.sub(r"\W+", "_", lie.name).lower()
    setattr(LyingFrameTests, f"test_{name}_{lie.section.replace('.', '_')}", test)


for _lie in (*STREAMS, *CONNECTIONS):
    _add(_lie)
