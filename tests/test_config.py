"""The configuration: what is read of a file, and settings without one."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

from pydantic import ValidationError
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import (
    PathRanges,
    QueryRoute,
    Settings,
    SourceSettings,
    SourcesRoute,
    UpstreamRoute,
    Url,
    for_sources,
    for_upstream,
)
from aprp.config.scalars import AUTO
from tests.support.config_case import LEAST, ConfigCase, in_route


class ReadingTests(ConfigCase):
    def test_the_least_has_all_defaults(self) -> None:
        loaded = self.read(LEAST)
        self.assertEqual(
            loaded.settings,
            Settings(
                listen=("tcp:0",),
                routes=(UpstreamRoute(path="/", upstream=Url.parse("http://a/")),),
            ),
        )
        self.assertEqual(loaded.warnings, ())
        self.assertEqual(loaded.path, self.file)

    def test_defaults_depend_on_the_kind(self) -> None:
        upstream = self.route("")
        sources = self.route("", "sources: [{url: http://a/}]")
        query = self.route("allow: [a]", "query: host")
        found = [
            (each.connect_timeout, each.first_byte_timeout, each.between_bytes_timeout)
            for each in (upstream, sources, query)
        ]
        self.assertEqual(found, [(5.0, 60.0, 60.0), (5.0, 10.0, 10.0), (5.0, 10.0, 10.0)])

    def test_scalars_are_text(self) -> None:
        route = self.route("path_ranges: off\nmax_ranges: 010\nheaders: {A: off, B: 010, C: 1:30}")
        self.assertIs(route.path_ranges, PathRanges.OFF)
        self.assertEqual(route.max_ranges, 10)
        self.assertEqual(route.headers, (("A", "off"), ("B", "010"), ("C", "1:30")))

    def test_sizes(self) -> None:
        for text, size in (
            ("1B", 1),
            ("512KiB", 524288),
            ("1MiB", 1048576),
            ("1.5MiB", 1572864),
            ("10MB", 10_000_000),
            ("1kB", 1000),
            ("1KB", 1000),
            ("2GiB", 2**31),
            ("2TB", 2 * 10**12),
            ("1TiB", 2**40),
        ):
            self.assertEqual(self.route(f"max_body: {text}").max_body, size, text)

    def test_not_sizes(self) -> None:
        for text, said in (
            ("512", "has no unit"),
            ("0B", "at least 1B"),
            ("1mib", "did you mean 1MiB?"),
            ("1M", "did you mean 1MB?"),
            ("1 MiB", "is not a size"),
            ("-1MiB", "is not a size"),
            ("+1MiB", "is not a size"),
            ("1_0MiB", "is not a size"),
            ("1e6", "is not a size"),
            ("0.3B", "whole number of bytes"),
            ("5s", "unknown unit"),
            ("9" * 5000 + "B", "is not a size"),
            ("9" * 18 + "TiB", "at most"),
            ("\u0661MiB", "is not a size"),
        ):
            fault = self.fault(in_route(f"max_body: {text}"))
            self.assertTrue(fault.startswith("5:15: routes[0].max_body: "), fault)
            self.assertIn(said, fault)

    def test_times(self) -> None:
        for text, seconds in (
            ("1ms", 0.001),
            ("500ms", 0.5),
            ("5s", 5.0),
            ("1.5s", 1.5),
            ("2m", 120.0),
            ("24h", 86400.0),
        ):
            self.assertEqual(self.route(f"send_timeout: {text}").send_timeout, seconds, text)

    def test_not_times(self) -> None:
        for text, said in (
            ("5", "has no unit"),
            ("1:30", "is not a time"),
            ("0s", "at least 1ms"),
            ("25h", "at most 24h"),
            ("5sec", "unknown unit"),
            ("5S", "did you mean 5s?"),
            ("off", "is not a time"),
        ):
            fault = self.fault(in_route(f"send_timeout: {text}"))
            self.assertTrue(fault.startswith("5:19: routes[0].send_timeout: "), fault)
            self.assertIn(said, fault)

    def test_resuming_can_be_turned_off(self) -> None:
        self.assertEqual(self.route("resume_for: 0s").resume_for, 0.0)

    def test_not_numbers(self) -> None:
        for text in ("1_0", "+1", "1e1", "0x10", "1.0", "1:3", "", "0", "1001", "9" * 5000):
            fault = self.fault(in_route(f"max_ranges: {text}"))
            self.assertIn("routes[0].max_ranges: ", fault)

    def test_null_is_only_for_what_may_be_left_out(self) -> None:
        for null in ("null", "~", ""):
            self.assertIsNone(self.route(f"host: {null}").host)
            self.assertIn("memory: is empty", self.fault(LEAST + f"memory: {null}\n"))
        self.assertEqual(self.route("host: 'null'").host, "null")

    def test_files_are_relative_to_the_configuration(self) -> None:
        (self.folder / "logs").mkdir()
        loaded = self.read(LEAST + "log: {file: logs/a.log, access: /tmp/b.log}\n")
        self.assertEqual(loaded.settings.log.file, self.folder.absolute() / "logs/a.log")
        self.assertEqual(loaded.settings.log.access, Path("/tmp/b.log"))
        loaded = self.read(LEAST + 'log: {access: "-"}\n')
        self.assertEqual(loaded.settings.log.access, "-")

    def test_everything_of_a_sources_route(self) -> None:
        route = self.route(
            "same: length\ncompare: sample\nblock_size: 64KiB\nwindow: 128KiB\ndelay: static\n"
            "duplicate: off\nduplicate_threshold: 1\npath_ranges: length\nredirects: public",
            "sources: [{url: 'http://a/x?y', connections: 2, static_delay: 3}, {url: http://b}]",
        )
        self.assertIsInstance(route, SourcesRoute)
        self.assertEqual(
            route.sources,
            (
                SourceSettings(url=Url.parse("http://a/x?y"), connections=2, static_delay=3),
                SourceSettings(url=Url.parse("http://b/"), connections=4, static_delay=0),
            ),
        )
        found = [route.same, route.compare, route.delay, route.duplicate, route.redirects]
        self.assertEqual(found, ["length", "sample", "static", "off", "public"])
        self.assertEqual((route.block_size, route.window), (65536, 131072))

    def test_everything_of_a_query_route(self) -> None:
        route = self.route(
            'allow: ["*.Example.org", "[::1]", "::2"]\n'
            'allow_addresses: [10.1.0.0/16, fd00::/8, "::1"]',
            "query: host",
        )
        self.assertIsInstance(route, QueryRoute)
        self.assertEqual(route.allow, ("*.example.org", "::1", "::2"))
        networks = tuple(map(ip_network, ("10.1.0.0/16", "fd00::/8", "::1/128")))
        self.assertEqual(route.allow_addresses, networks)

    def test_the_process_has_room_beside_what_waits(self) -> None:
        for lines, least in (
            ("limits: {memory: 512MiB}", "640MiB"),
            ("memory: 1GiB\nlimits: {memory: 1GiB}", "1152MiB"),
            ("workers: 4\nlimits: {memory: 1023MiB}", "1GiB"),
        ):
            fault = self.fault(lines + "\n" + LEAST)
            self.assertIn("each process needs 128MiB beside", fault)
            self.assertIn(f"raise it to at least {least}, or lower memory", fault)
        self.assertEqual(self.read(LEAST).settings.limits.memory, AUTO)
        self.read("workers: 4\nlimits: {memory: 1GiB}\n" + LEAST)

    def test_settings_are_values(self) -> None:
        one, other = self.read(LEAST).settings, self.read(LEAST).settings
        self.assertEqual(hash(one), hash(other))
        self.assertRaises(ValidationError, setattr, one, "memory", 1)


class QuickStartTests(SynchronousTestCase):
    def test_one_upstream(self) -> None:
        settings = for_upstream("http://a/films/")
        self.assertEqual(settings.listen, ("tcp:8000:interface=127.0.0.1",))
        (route,) = settings.routes
        self.assertEqual(
            route,
            UpstreamRoute(
                path="/", upstream=Url.parse("http://a/films/"), path_ranges=PathRanges.END
            ),
        )

    def test_several_sources(self) -> None:
        settings = for_sources(["http://a/f.mp4?x", "http://b/"], 0)
        self.assertEqual(settings.listen, ("tcp:0:interface=127.0.0.1",))
        (route,) = settings.routes
        assert isinstance(route, SourcesRoute)
        self.assertEqual(
            [str(source.url) for source in route.sources], ["http://a/f.mp4?x", "http://b/"]
        )
        self.assertIs(route.path_ranges, PathRanges.END)

    def test_faults_are_one_sentence(self) -> None:
        for call, said in (
            (lambda: for_upstream("a"), "a: is not an absolute URL"),
            (lambda: for_upstream("http://a/?q"), "http://a/?q: has a query"),
            (lambda: for_upstream("http://a", 65536), "the port: has the port '65536'"),
            (lambda: for_sources(["http://a", "b"]), "b: is not an absolute URL"),
            (lambda: for_sources([]), "the sources: "),
        ):
            error = self.assertRaises(ValueError, call)
            self.assertTrue(str(error).startswith(said), str(error))
            self.assertNotIn("\n", str(error))
