"""Warnings, and the files that travel with the project."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from unittest import mock

from aprp.config import (
    ConfigFaults,
    PathRanges,
    QueryRoute,
    Settings,
    SourceSettings,
    advice,
    find,
    load,
)
from aprp.config.settings import KINDS, LogSettings, TlsSettings
from tests.support.config_case import ConfigCase, in_route

ROOT = Path(__file__).parent.parent


class WarningTests(ConfigCase):
    def warned(self, text: str) -> list[str]:
        warnings = self.read(text).warnings
        return [str(each).removeprefix(f"{self.file}:") for each in warnings]

    def test_keys_without_effect_yet(self) -> None:
        self.patch(advice, "NOT_YET", frozenset({"routes.sources", "routes.same=digest"}))
        text = in_route("same: digest", "sources: [{url: http://a/}]")
        self.assertEqual(
            self.warned(text),
            [
                "4:5: routes[0].sources: warning: is accepted, but has no effect yet",
                "5:5: routes[0].same: warning: is accepted, but has no effect yet",
            ],
        )
        self.patch(advice, "NOT_YET", frozenset())
        self.assertEqual(self.warned(text), [])

    def test_settings_without_effect(self) -> None:
        self.patch(advice, "NOT_YET", frozenset())
        one = "sources: [{url: http://a/}]"
        for lines, kind, said in (
            ("redirects: off", "upstream: http://a/", ["5:5: routes[0].redirects: "]),
            ("redirects: off", one, []),
            ("delay: static", "sources: [{url: http://a/, static_delay: 1}]", []),
            (
                "",
                "sources: [{url: http://a/, static_delay: 1}]",
                ["4:32: routes[0].sources[0].static_delay: "],
            ),
            (
                "",
                "sources: [{url: http://a/}, {url: HTTP://A:80}]",
                ["4:34: routes[0].sources[1].url: "],
            ),
            (
                "window: 4MiB\nduplicate: nibib\nduplicate_threshold: 4",
                one,
                ["7:5: routes[0].duplicate_threshold: "],
            ),
            ("window: 4MiB\nduplicate: nibib\nduplicate_threshold: 3", one, []),
            ("window: 4MiB\nduplicate: nibib", one, []),
            ("window: 4MiB\nduplicate_threshold: 9", one, []),
            ("window: 1GiB", one, ["5:5: routes[0].window: "]),
            ("allow: []", "query: host", ["4:5: routes[0].query: "]),
            ("allow: [a]", "query: host", []),
        ):
            found = self.warned(in_route(lines, kind))
            self.assertEqual([line.partition("warning: ")[0] for line in found], said, lines)


class FileTests(ConfigCase):
    """The files that travel with the project agree with the settings."""

    def test_the_example_has_no_faults(self) -> None:
        self.patch(advice, "NOT_YET", frozenset())
        loaded = load(ROOT / "etc/aprp.yaml")
        self.assertEqual(loaded.warnings, ())
        for route in loaded.settings.routes:
            if not isinstance(route, QueryRoute):
                self.assertIs(route.path_ranges, PathRanges.END)

    def test_the_example_has_every_setting_and_shows_defaults(self) -> None:
        text = (ROOT / "etc/aprp.yaml").read_text()
        all_of_it = re.sub(r"(?m)^( *)# ([a-z_]+: .*)$", r"\1\2", text)
        self.read(all_of_it)
        for name in all_settings():
            key = name.rpartition(".")[2]
            self.assertRegex(all_of_it, rf"(?m)^[^#]*\b{key}:", name)
        settings = load(ROOT / "etc/aprp.yaml").settings
        self.assertEqual(settings.log, LogSettings())
        self.assertEqual(settings.memory, Settings.model_fields["memory"].default)
        uncommented = self.read(all_of_it).settings
        examples = {"host", "headers", "response_headers", "secure_link", "sources", "tls"}
        for plain, full in zip(settings.routes, uncommented.routes, strict=True):
            self.assertEqual(plain.model_dump(exclude=examples), full.model_dump(exclude=examples))

    def test_the_documentation_has_every_setting(self) -> None:
        text = (ROOT / "docs/configuration.md").read_text()
        for name in all_settings():
            self.assertRegex(text, rf"(?m)^##+ `{re.escape(name)}`$", name)

    def test_where_a_file_is_looked_for(self) -> None:
        self.patch(
            sys.modules["aprp.config.load"], "PLACES", (self.folder / "one", self.folder / "two")
        )
        refused = self.assertRaises(ConfigFaults, find)
        self.assertTrue(str(refused).startswith(f"{self.folder / 'one'}:1:1: file: there is no"))
        self.assertIn("--config", str(refused))
        (self.folder / "two").touch()
        self.assertEqual(find(), self.folder / "two")
        (self.folder / "one").touch()
        self.assertEqual(find(), self.folder / "one")
        with mock.patch.object(Path, "exists", side_effect=PermissionError):
            self.assertEqual(find(), self.folder / "one")


def all_settings() -> list[str]:
    """Every key by the name that the documentation gives it."""
    names = [name for name in Settings.model_fields if name not in ("log", "routes")]
    names += [f"log.{name}" for name in LogSettings.model_fields]
    names += [f"tls.{name}" for name in TlsSettings.model_fields]
    names += [f"sources.{name}" for name in SourceSettings.model_fields]
    routes = {name: None for kind in KINDS.values() for name in kind.model_fields}
    return [*names, "log", "routes", *(name for name in routes if name != "tls")]
