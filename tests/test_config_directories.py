"""Directories as sources: what a configuration may say of them, and what is noticed about them."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

from aprp.config import SourcesRoute
from aprp.config.files import directory_trouble
from aprp.upstream.health_checks import checks_of
from aprp.upstream.transfer.route_options import names_of
from tests.support.config_case import ConfigCase


def text(sources: str, more: str = "") -> str:
    return f"listen: [tcp:0]\nroutes:\n  - path: /films/\n    sources: [{sources}]\n{more}"


class DirectoryTests(ConfigCase):
    def test_it_is_relative_to_the_file(self) -> None:
        (self.folder / "films").mkdir()
        loaded = self.read(text("{path: films}, {path: /srv, connections: 1}, {url: http://a/}"))
        (route,) = loaded.settings.routes
        assert isinstance(route, SourcesRoute)
        folder = self.folder.absolute()
        self.assertEqual(route.sources[0].path, folder / "films")
        self.assertEqual(names_of(route), [f"{folder}/films/", "/srv/", "http://a/"])

    def test_one_of_the_two_is_named(self) -> None:
        for source, given in (
            ("{url: http://a/, path: /srv}", "both"),
            ("{connections: 2}", "none of them"),
        ):
            fault = self.fault(text(source))
            self.assertIn(
                f"routes[0].sources[0]: a source has exactly one of url: and path:; "
                f"this one has {given}",
                fault,
            )
        self.assertIn("did you mean path?", self.fault(text("{pth: /srv}")))
        self.assertIn("is not the name of a directory", self.fault(text("{path: ''}")))
        self.assertIn("has a NUL", self.fault(text('{path: "a\\0"}')))

    def test_what_is_wrong_with_it_now_is_a_warning(self) -> None:
        """A daemon starts without a directory, as it does without a mirror."""
        (self.folder / "file").write_bytes(b"")
        for path, said in (
            ("none", "none can't be read: No such file or directory"),
            ("file", "file is not a directory; name the one that holds the files"),
        ):
            (warning,) = self.read(text(f"{{path: {path}}}")).warnings
            self.assertEqual(warning.key, "routes[0].sources[0].path")
            self.assertIn(f"warning: {self.folder.absolute()}/{said}", warning.message)

    def test_one_that_may_not_be_read(self) -> None:
        with mock.patch.object(os, "access", lambda *_: False):
            trouble = directory_trouble(self.folder) or ""
        self.assertIn("can't be read by the user", trouble)

    def test_one_that_hangs(self) -> None:
        def hang(_: Path) -> bool:
            held.wait(10)
            return True

        import threading

        held = threading.Event()
        self.addCleanup(held.set)
        with mock.patch.object(Path, "is_dir", hang):
            self.assertIn("does not answer", directory_trouble(self.folder) or "")

    def test_the_same_one_twice(self) -> None:
        (warning,) = self.read(text("{path: .}, {path: ./}")).warnings
        self.assertEqual(warning.key, "routes[0].sources[1].path")
        self.assertIn("is already a source", warning.message)

    def test_settings_of_servers(self) -> None:
        more = "    tls: {}\n    redirects: off\n    health: {path: /}\n"
        said = self.read(text("{path: .}", more)).warnings
        self.assertEqual(
            [each.key for each in said],
            ["routes[0].tls", "routes[0].redirects", "routes[0].health"],
        )
        self.assertIn("has no effect: it is for servers", said[0].message)
        both = self.read(text("{path: .}, {url: http://a/}", more))
        self.assertEqual(both.warnings, ())
        (check,) = checks_of(both.settings)
        self.assertEqual(check.source, "http://a/")
