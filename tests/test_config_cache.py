"""The settings of the cache."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

from aprp.config import RouteCacheSettings
from aprp.config.caching import cache_trouble
from tests.support.config_case import LEAST, ConfigCase, in_route

QUERY = "query: host\n    allow: [a]"


class CacheTests(ConfigCase):
    def test_the_daemon(self) -> None:
        self.assertIsNone(self.read(LEAST).settings.cache)
        cache = self.read("cache: {path: films, size: 1GiB}\n" + LEAST).settings.cache
        assert cache is not None
        self.assertEqual((cache.path, cache.size), (self.folder.absolute() / "films", 2**30))

    def test_a_route(self) -> None:
        for line, kind, meant in (
            ("", "upstream: http://a/", RouteCacheSettings()),
            ("", QUERY, None),
            ("cache: off", "upstream: http://a/", None),
            ("cache: on", QUERY, RouteCacheSettings()),
            (
                "cache: {valid: 720h, pin: true, targeted: [CDN-Cache-Control]}",
                "sources: [{url: http://a/}]",
                RouteCacheSettings(valid=2_592_000.0, pin=True, targeted=("CDN-Cache-Control",)),
            ),
        ):
            self.assertEqual(self.route(line, kind).cache, meant)

    def test_faults(self) -> None:
        for text, said in (
            ("cache: {path: films}\n" + LEAST, "1:8: cache.size: is missing."),
            ("cache: {path: films, size: 1MiB}\n" + LEAST, "1:28: cache.size: must be at least"),
            ("cache: off\n" + LEAST, "1:8: cache: must be a mapping (path, size, ...)"),
            (in_route("cache: of"), "5:12: routes[0].cache: must be on, off or a mapping"),
            (in_route("cache: null"), "5:12: routes[0].cache: is empty"),
            (in_route("cache: {pin: yes}"), "5:18: routes[0].cache.pin: 'yes' is not valid here"),
            (in_route("cache: {vald: 1h}"), "5:13: routes[0].cache.vald: is not a known key; did"),
            (in_route("cache: {size: 1GiB}"), "5:13: routes[0].cache.size: is not a known key; it"),
        ):
            self.assertIn(said, self.fault(text))

    def test_warnings(self) -> None:
        def warned(text: str) -> list[str]:
            return [str(each).removeprefix(f"{self.file}:") for each in self.read(text).warnings]

        self.assertEqual(warned("cache: {path: films, size: 1GiB}\n" + in_route("cache: on")), [])
        self.assertEqual(warned(in_route("cache: off")), [])
        self.assertIn("has no effect without cache:", warned(in_route("cache: on"))[0])
        missing = warned("cache: {path: missing/films, size: 1GiB}\n" + LEAST)
        self.assertIn("1:9: cache.path: warning: ", missing[0])
        self.assertIn("missing is not a directory; create it", missing[0])

    def test_what_is_wrong_with_a_directory(self) -> None:
        folder = Path(self.mktemp())
        self.assertIsNone(cache_trouble(folder))
        folder.mkdir()
        self.assertIsNone(cache_trouble(folder))
        with mock.patch.object(os, "geteuid", lambda: os.getuid() + 1):
            self.assertIn("belongs to another user", str(cache_trouble(folder)))
        with mock.patch.object(os, "access", lambda *_: False):
            self.assertIn("can't be written by", str(cache_trouble(folder)))
            self.assertIn("can't be created by", str(cache_trouble(folder / "new")))
        (folder / "file").touch()
        self.assertIn("is not a directory", str(cache_trouble(folder / "file")))
