"""The public suite of tests for HTTP caches, by its own engine, against an `upstream:` route.

docs/conformance.md has the results by group, and why what is listed here is as it is.
"""

from __future__ import annotations

from twisted.logger import Logger

from aprp.cache.cache import Cache
from aprp.cache.store.disk_store import DiskStore
from aprp.config import RouteCacheSettings
from tests.support.cache_suite import Run, SuiteServer, installed, run
from tests.support.client import reactor
from tests.support.patience import HANG
from tests.support.proxied_case import ProxyCase

DELIBERATE = frozenset(
    (
        # A part that isn't the one that was requested, and whose length is wrong, is refused.
        "partial-store-partial-complete",
        "partial-store-partial-reuse-partial",
        "partial-store-partial-reuse-partial-absent",
        "partial-store-partial-reuse-partial-byterange",
        "partial-store-partial-reuse-partial-suffix",
        # One client's cookies aren't given to another.
        "headers-store-Set-Cookie",
        "headers-store-Set-Cookie2",
        # A 200 has no Content-Range; a Transfer-Encoding that nobody knows has no end.
        "headers-store-Content-Range",
        "headers-store-Transfer-Encoding",
        # Servers that choose by the order of languages are more common than the rule.
        "vary-normalise-lang-order",
        "vary-normalise-lang-select",
        # It asks for a 304 to a date before the response was made.
        "conditional-lm-fresh-no-lm",
        # Responses to POST aren't stored.
        "method-POST",
    )
)
"""Tests for what a cache must or should do that aprp doesn't do."""

RUNS_AGAIN = 3
"""Times that tests which failed are run again, fewer at once: they go by the clock, and a slow
machine is late."""

_log = Logger()


class CacheSuite(ProxyCase):
    timeout = 3 * HANG

    async def test_all(self) -> None:
        installed()
        server = SuiteServer(self.folder())
        self.addCleanup(server.stop)
        await server.started()
        store = DiskStore(str(self.folder() / "cache"), 64 << 20, reactor)
        self.stored = Cache(store, reactor)
        self.addCleanup(self.stored.close)
        await store.opened
        settings = RouteCacheSettings(targeted=("CDN-Cache-Control",))
        url = f"http://127.0.0.1:{self.proxy(server.url, cache=settings)}"
        found = await run(url)
        for _ in range(RUNS_AGAIN):
            if not (wrong := self._wrong(found)):
                break
            found = found.amended(await run(url, *wrong))
        self.assertEqual({each: found.results[each] for each in self._wrong(found)}, {})
        self.assertLessEqual(DELIBERATE, found.failed().keys())
        self._compare(found)

    def _wrong(self, found: Run) -> set[str]:
        """Return the tests that should have passed."""
        kinds = {each.id: each.kind for each in found.cases}
        return {each for each in found.failed() if kinds[each] != "check"} - DELIBERATE

    def _compare(self, found: Run) -> None:
        """Find aprp above every proxy on record, in what is on record for it."""
        _log.info("{table}", table=found.table())
        for name, results in found.recorded.items():
            self.assertGreater(len(results), 280, name)
            ours = found.passed(found.results, among=results.keys())
            self.assertGreater(ours, found.passed(results), name)
