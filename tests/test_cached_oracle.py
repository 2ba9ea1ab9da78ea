"""Random requests to an `upstream:` route with a cache, whose origin says random things, on a clock
that jumps: what comes from the cache has to be allowed by the rules of RFC 9111, which are written
here a second time.
"""

from __future__ import annotations

import random

from aprp.config import RouteCacheSettings
from aprp.upstream import wall_clock
from tests.support.patience import HANG
from tests.support.random_origin import RandomOrigin, Said, content
from tests.support.responses import Response
from tests.test_cached_upstream import CachedCase

STEPS = 120
SEEDS = (1, 2, 101)
START = 1_800_000_000.0
LANGUAGES = ("", "de", "fr, en")
RANGES = ("bytes=0-99", "bytes=70000-", "bytes=-8", "bytes=800-899")
CONTROLS = (
    "no-cache",
    "max-age=5",
    "max-age=0",
    "min-fresh=8",
    "max-stale=20",
    "max-stale",
    "no-store",
    "only-if-cached",
    "stale-if-error=30",
)


class OracleTests(CachedCase):
    timeout = 2 * HANG

    async def test_whatever_comes_from_the_cache_may(self) -> None:
        for seed in SEEDS:
            await self.course(seed)

    async def course(self, seed: int) -> None:
        self.model = origin = RandomOrigin(random.Random(seed), START)
        self.trace: list[str] = []
        self.hits = self.before = 0
        clock = wall_clock.read_from(lambda: origin.now)
        try:
            _, port = await self.serve(origin.answer, cache=RouteCacheSettings(), resume_for=0.05)
            for _ in range(STEPS):
                await self.step(port)
        except Exception as error:
            raise AssertionError("\n".join((f"seed {seed}", *self.trace[-12:]))) from error
        finally:
            wall_clock.read_from(clock)
        self.assertGreater(self.hits, STEPS // 10, seed)

    async def step(self, port: int) -> None:
        origin, draw = self.model, self.model.draw
        origin.now += draw.choice((0, 0, 0.5, 1, 3, 12, 70))
        origin.fails = draw.random() < 0.1
        self.before = len(origin.said)
        if draw.random() < 0.07:
            path = draw.choice(("/a", "/b"))
            self.trace.append(f"{origin.now} POST {path}")
            await self.ask(port, path, method="POST", body=b"x")
            return
        asking = [self.request() for _ in range(draw.choice((1, 1, 1, 3)))]
        self.trace += [f"{origin.now} {path} {m} {fields}" for path, fields, m in asking]
        answers = await self.together(*(self.ask(port, *each) for each in asking))
        for (path, fields, method), got in zip(asking, answers, strict=True):
            number = got.fields["X-Said"]
            self.trace.append(f"  {path} {got.status} {got.fields['Cache-Status']} {number}")
            if number is not None:
                self.trace.append(f"    {origin.said[number]}")
                self.check(path, fields, method, got)
        await self.wait(0.01)

    def request(self) -> tuple[str, dict[str, str], str]:
        """Return a path, the fields of the request and its method."""
        draw, fields = self.model.draw, {}
        if language := draw.choice(LANGUAGES):
            fields["Accept-Language"] = language
        if draw.random() < 0.15:
            fields["Authorization"] = "Basic eDp5"
        if draw.random() < 0.3:
            fields["Range"] = draw.choice(RANGES)
        if draw.random() < 0.25:
            fields["Cache-Control"] = draw.choice(CONTROLS)
        return draw.choice(("/a", "/b")), fields, draw.choice(("GET",) * 6 + ("HEAD",))

    def check(self, path: str, fields: dict[str, str], method: str, got: Response) -> None:
        number = int(got.fields["X-Said"])
        said = self.model.said[str(number)]
        if method == "GET" and got.status in (200, 206):
            self.check_body(said, got)
        if number > self.before and "Set-Cookie" in got.fields:
            return  # the origin's response to this request itself
        self.hits += 1
        self.assertNotIn("Set-Cookie", got.fields)
        self.assertGreater(number, self.model.invalidated.get(path, 0))
        self.check_stored(fields, said)
        if number <= self.before:
            self.check_reused(fields, said, got)

    def check_body(self, said: Said, got: Response) -> None:
        start, stop = 0, int(got.fields["Content-Length"])
        size = stop
        if got.status == 206:
            span, _, whole = got.fields["Content-Range"].removeprefix("bytes ").partition("/")
            start, last = map(int, span.split("-"))
            size, stop = int(whole), last + 1
        right = content(said.version, size)[start:stop]
        if got.whole or (said.version in self.model.current and not self.model.fails):
            self.assertTrue(got.body == right)
        else:  # the origin has changed or failed after the response had begun
            self.assertTrue(right.startswith(got.body))

    def check_stored(self, fields: dict[str, str], said: Said) -> None:
        """Sections 3, 3.5 and 4.1."""
        self.assertFalse({"no-store", "private"} & set(said.control))
        if said.varies:
            self.assertEqual(said.language, fields.get("Accept-Language", ""))
        if said.authorized:
            names = {each.partition("=")[0] for each in said.control}
            self.assertTrue(names & {"public", "s-maxage", "must-revalidate"})

    def check_reused(self, fields: dict[str, str], said: Said, got: Response) -> None:
        """Sections 4.2, 5.1 and 5.2, and RFC 5861, give or take a second."""
        age = said.age_at(self.model.now)
        left = said.lifetime() - age
        asked, _, value = fields.get("Cache-Control", "").partition("=")
        self.assertLess(abs(int(got.fields["Age"]) - age), 2)
        self.assertNotIn("no-cache", said.control)
        if "stale-if-error" in str(got.fields["Cache-Status"]):
            self.assertTrue(self.model.fails)
            windows = [said.seconds("stale-if-error") or 0]
            windows += [int(value)] if asked == "stale-if-error" else []
            window = 86400 if said.seconds("stale-if-error") is None else max(windows)
            self.assertFalse(left < -1 and said.never_stale)
            self.assertLess(-left, window + 1)
            return
        self.assertNotEqual(asked, "no-cache")
        if asked == "max-age":
            self.assertLess(age, int(value) + 1)
        if asked == "min-fresh":
            self.assertGreater(left, int(value) - 1)
        if left <= -1:
            self.assertFalse(said.never_stale)
            window = said.seconds("stale-while-revalidate") or 0
            if asked == "max-stale":
                window = max(window, int(value)) if value else 1 << 31
            self.assertLess(-left, window + 1)
