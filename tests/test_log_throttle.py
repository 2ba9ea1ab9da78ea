"""Which failures of sources are worth a warning, and how often."""

from __future__ import annotations

import re

from twisted.logger import LogLevel, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from aprp.upstream.transfer.log_throttle import LATELY, MOST, LogThrottle
from tests.support.logged import Logged
from tests.support.mirrored_case import MirroredCase, honest
from tests.support.origin import Responder
from tests.support.replies import status


class NewsTests(SynchronousTestCase):
    def test_the_same_is_new_after_a_while(self) -> None:
        news = LogThrottle()
        told = [news.should_log("a", at) for at in (0.0, 1.0, LATELY - 1, LATELY, LATELY + 1)]
        self.assertEqual(told, [True, False, False, True, False])

    def test_the_oldest_are_forgotten(self) -> None:
        news = LogThrottle()
        self.assertTrue(all(news.should_log(number, 0.0) for number in range(MOST + 1)))
        self.assertFalse(news.should_log(1, 1.0))
        self.assertTrue(news.should_log(0, 1.0))


class WarningTests(MirroredCase):
    def setUp(self) -> None:
        super().setUp()
        self.logged = Logged(self)

    async def said_after(self, paths: tuple[str, ...], statuses: set[int], *how: Responder) -> str:
        origins = await self.mirrors(*how)
        port = self.in_front_of(origins)
        for path in paths:
            got = await self.ask(port, path)
            self.assertIn(got.status, statuses)
        warnings = [
            formatEvent(event)
            for event in self.logged.events
            if event.get("log_level", LogLevel.info) >= LogLevel.info
        ]
        return "\n".join(line for line in warnings if "127.0.0." in line)

    async def test_a_client_that_asks_for_what_is_not_there_fills_no_log(self) -> None:
        absent: tuple[Responder, Responder] = (
            lambda _: status(404),
            lambda _: status(410),
        )
        paths = tuple(f"/{number}" for number in range(5))
        self.assertEqual(await self.said_after(paths, {404}, *absent), "")

    async def test_a_source_that_lacks_what_others_have_is_told_once_for_a_file(self) -> None:
        paths = ("/a", "/a?x", "/a", "/b")
        said = await self.said_after(paths, {200}, lambda _: status(404), honest)
        self.assertEqual(len(re.findall("left out: \\S+ answered 404", said)), 2, said)

    async def test_what_is_wrong_with_a_source_is_told_once(self) -> None:
        paths = tuple(f"/{number}" for number in range(3))
        said = await self.said_after(paths, {403}, lambda _: status(403))
        self.assertEqual(len(re.findall("left out: \\S+ answered 403", said)), 1, said)
