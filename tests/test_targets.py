"""Request targets, hosts, ranges in paths, and paths that climb."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http.ranges import MAX, FromTo
from aprp.core.http.targets import (
    BadTarget,
    PathRange,
    Target,
    check_host,
    climbs,
    parse_target,
    split_path_range,
    under,
)


class TargetTests(SynchronousTestCase):
    def test_taken(self) -> None:
        for raw, target in (
            (b"/", Target(b"/")),
            (b"/a%2Fb/../c//d?x=/y?z", Target(b"/a%2Fb/../c//d", b"?x=/y?z")),
            (b"/a?", Target(b"/a", b"?")),
            (b"/a[1]|{b}", Target(b"/a[1]|{b}")),
            (b"/a?%", Target(b"/a", b"?%")),
            (b"http://h:8/a?b", Target(b"/a", b"?b", b"h:8")),
            (b"HTTPS://h", Target(b"/", b"", b"h")),
            (b"http://h?b", Target(b"/", b"?b", b"h")),
            (b"http://[::1]:8/", Target(b"/", b"", b"[::1]:8")),
        ):
            self.assertEqual(parse_target(b"GET", raw), target, raw)
        self.assertEqual(parse_target(b"OPTIONS", b"*"), Target(b"*"))

    def test_refused(self) -> None:
        for raw in (
            b"",
            b"*",
            b"a",
            b"h:80",
            b"/a#b",
            b"/a b",
            b"/\xc3\xa9",
            b"/a\x00",
            b"/a\t",
            b"/%",
            b"/%4",
            b"/%zz",
            b"http://",
            b"http:///a",
            b"http://u@h/a",
            b"http://h:x/",
            b"ftp://h/",
            b"http://h/#b",
        ):
            with self.assertRaises(BadTarget, msg=raw):
                parse_target(b"GET", raw)

    def test_hosts(self) -> None:
        for host in (b"h", b"h:80", b"a.b-c_d", b"[::1]", b"[::1]:8", b"127.0.0.1", b"h:", b"a,b"):
            check_host(host)
        for host in (b"", b"a b", b"a/b", b"u@h", b"h:8x", b"[::1", b"::1", b"h:80:80"):
            with self.assertRaises(BadTarget, msg=host):
                check_host(host)


class PrefixTests(SynchronousTestCase):
    def test_under(self) -> None:
        for prefix, path, rest in (
            (b"/films/", b"/films/a", b"/a"),
            (b"/films/", b"/films/", b"/"),
            (b"/films/", b"/films", b""),
            (b"/films", b"/films/a", b"/a"),
            (b"/films", b"/films", b""),
            (b"/films", b"/filmsa", None),
            (b"/films", b"/film", None),
            (b"/films", b"/Films/a", None),
            (b"/", b"/a", b"/a"),
            (b"/", b"/", b"/"),
            (b"/a/b", b"/a//b", None),
        ):
            self.assertEqual(under(prefix, path), rest, (prefix, path))

    def test_climbs(self) -> None:
        for path, out in (
            (b"/a/../b", False),
            (b"/a/b/../../c", False),
            (b"/..a/...", False),
            (b"/a/./b", False),
            (b"", False),
            (b"/..", True),
            (b"/a/../../b", True),
            (b"/%2e%2E/x", True),
            (b"/.%2e/x", True),
            (b"/a%2f..%2F..", True),
            (b"/a\\..\\..", True),
            (b"/%5c..", True),
            (b"/a//../..", True),
            (b"/..;/admin", True),
            (b"/..;x=y/admin", True),
            (b"/%2e%2e;/admin", True),
            (b"/a/.;x/../../b", True),
            (b"/;x/../b", True),
            (b"/a;x/../b", False),
            (b"/a%2fb/../../c", True),
            (b"/a\\b/../../c", True),
            (b"/a%5Cb%2fc/../../d", True),
            (b"/a%2fb/../c", False),
            (b"/%252e%252e/admin", False),
            (b"/%252e%252e%252fadmin", False),
            (b"/a..;/b", False),
        ):
            self.assertEqual(climbs(path), out, path)


class PathRangeTests(SynchronousTestCase):
    huge = b"9" * 40

    def test_end(self) -> None:
        for path, name, spec in (
            (b"/a.mp4/0/99", b"/a.mp4", FromTo(0, 100)),
            (b"/a.mp4/5/", b"/a.mp4", FromTo(5)),
            (b"/a.mp4/5", b"/a.mp4", FromTo(5)),
            (b"/a.mp4/5/5", b"/a.mp4", FromTo(5, 6)),
            (b"/a.mp4/5/4", b"/a.mp4", None),
            (b"/a/b/1/2/3", b"/a/b/1", FromTo(2, 4)),
            (b"/a/007/008", b"/a", FromTo(7, 9)),
            (b"/a/0/" + self.huge, b"/a", FromTo(0, MAX + 1)),
            (b"/a/" + self.huge, b"/a", FromTo(MAX)),
            (b"/0/99", b"/0", FromTo(99)),
        ):
            self.assertEqual(split_path_range(path, "end"), PathRange(name, spec), path)

    def test_length(self) -> None:
        for path, spec in (
            (b"/a/5/10", FromTo(5, 15)),
            (b"/a/5/1", FromTo(5, 6)),
            (b"/a/5/0", None),
            (b"/a/5/", FromTo(5)),
            (b"/a/5", FromTo(5)),
        ):
            self.assertEqual(split_path_range(path, "length"), PathRange(b"/a", spec), path)

    def test_none(self) -> None:
        for path in (
            b"",
            b"/",
            b"/a",
            b"/5",
            b"/a/",
            b"/a/b/",
            b"/a/5/x",
            b"/a/x/5x",
            b"/a/-5",
            b"/a/+5",
            b"/a/1_0",
            b"/a/%35",
            b"/a/\xd9\xa1",
        ):
            self.assertIsNone(split_path_range(path, "end"), path)

    def test_a_route_that_is_the_file(self) -> None:
        for path, name, spec in (
            (b"/0/99", b"", FromTo(0, 100)),
            (b"/7", b"", FromTo(7)),
            (b"/b/0/99", b"/b", FromTo(0, 100)),
        ):
            found = split_path_range(path, "end", nameless=True)
            self.assertEqual(found, PathRange(name, spec), path)
