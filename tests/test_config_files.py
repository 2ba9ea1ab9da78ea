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
    find,
    load,
)
from aprp.config.routes import KINDS, TlsSettings
from aprp.config.settings import LogSettings
from tests.support.config_case import LEAST, ConfigCase, in_route

ROOT = Path(__file__).parent.parent


class WarningTests(ConfigCase):
    def warned(self, text: str) -> list[str]:
        warnings = self.read(text).warnings
        return [str(each).removeprefix(f"{self.file}:") for each in warnings]

    def test_settings_without_effect(self) -> None:
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
            ("duplicate_threshold: 9", one, ["5:5: routes[0].duplicate_threshold: "]),
            (
                "duplicate: off\nduplicate_threshold: 9",
                one,
                ["6:5: routes[0].duplicate_threshold: "],
            ),
            ("max_body: 1MiB", one, ["5:5: routes[0].max_body: "]),
            ("max_body: 1MiB", "upstream: http://a/", []),
            ("compare: sample", one, ["5:5: routes[0].compare: "]),
            ("compare: sample", "sources: [{url: http://a/}, {url: http://b/}]", []),
            ("window: 1GiB", one, ["5:5: routes[0].window: "]),
            ("allow: []", "query: host", ["4:5: routes[0].query: "]),
            ("allow: [a]", "query: host", []),
            ("allow: [a]\nheaders: {X: y}", "query: host", ["6:5: routes[0].headers: "]),
            ("allow: [a]\nhost: b", "query: host", ["6:5: routes[0].host: "]),
            ("allow: [a]\nheaders: {X: y}\nheaders_to: [a]", "query: host", []),
            (
                "allow: [a]\nheaders: {X: y}\nheaders_to: ['*']",
                "query: host",
                ["7:5: routes[0].headers_to: "],
            ),
            ("allow: [a]\nheaders_to: [a]", "query: host", ["6:5: routes[0].headers_to: "]),
        ):
            found = self.warned(in_route(lines, kind))
            self.assertEqual([line.partition("warning: ")[0] for line in found], said, lines)

    def test_settings_of_the_log_without_effect(self) -> None:
        for log, said in (
            ("{keep: 3}", ["log.keep"]),
            ("{access: '-', max_size: 1MiB}", ["log.max_size"]),
            ("{access: access.log, keep: 3, access_format: json}", []),
            ("{file: aprp.log, keep: 3}", []),
            ("{access_format: json}", ["log.access_format"]),
        ):
            found = self.warned(f"log: {log}\n" + LEAST)
            self.assertEqual([line.split(": ")[1] for line in found], said, log)

    def test_an_admin_port_that_everyone_may_use(self) -> None:
        users = self.folder / "users"
        users.write_text("ann:$2y$05$" + "a" * 53 + "\n")
        for admin, said in (
            ("tcp:8001", False),
            (r'"tcp6:8001:interface=\\:\\:1"', False),
            ("{listen: 'tcp:8001:interface=127.0.0.2'}", False),
            ("'tcp:8001:interface=localhost'", False),
            ("unix:/run/a.sock", False),
            ("'tcp:8001:interface=0.0.0.0'", True),
            ("{listen: 'tcp:8001:interface=192.0.2.1'}", True),
            ("{listen: 'tcp:8001:interface=0.0.0.0', basic_auth: users}", False),
        ):
            found = self.warned(f"admin: {admin}\n" + LEAST)
            self.assertEqual(
                [line[:43] for line in found],
                ["1:1: admin: warning: can be used by everyone"[:43]] * said,
                admin,
            )

    def test_routes_that_lead_back_to_the_daemon(self) -> None:
        for listen, url, back in (
            ("tcp:8000", "http://127.0.0.1:8000/x", True),
            ("tcp:8000", "http://localhost:8000/", True),
            ("tcp:80:interface=0.0.0.0", "http://127.0.0.5/", True),
            ("tcp:8000:interface=127.0.0.1", "http://localhost:8000/", True),
            ("tcp:8000:interface=192.0.2.1", "http://192.0.2.1:8000/", True),
            (r"tcp6:8000:interface=\:\:1", "http://[::1]:8000/", True),
            ("tcp:8000:interface=127.0.0.1", "http://0.0.0.0:8000/", True),
            ("tcp:8000", "http://127.0.0.1:8001/", False),
            ("tcp:8000", "http://a.example:8000/", False),
            ("tcp:8000:interface=127.0.0.1", "http://127.0.0.2:8000/", False),
            ("unix:/run/aprp.sock", "http://127.0.0.1:8000/", False),
        ):
            for kind in (f"upstream: {url}", f"sources: [{{url: http://a/}}, {{url: '{url}'}}]"):
                text = in_route("", kind).replace("tcp:0", listen, 1)
                self.assertIn(listen, text)
                found = self.warned(text)
                back_there = ["leads back to this daemon" in each for each in found]
                self.assertEqual(back_there, [True] * back, (listen, kind))


class FileTests(ConfigCase):
    """The files that travel with the project agree with the settings."""

    def test_the_example_has_no_faults(self) -> None:
        loaded = load(ROOT / "etc/aprp.yaml")
        self.assertEqual(loaded.warnings, ())
        for route in loaded.settings.routes:
            if not isinstance(route, QueryRoute):
                self.assertIs(route.path_ranges, PathRanges.END)

    def test_the_example_has_every_setting_and_shows_defaults(self) -> None:
        text = (ROOT / "etc/aprp.yaml").read_text()
        all_of_it = re.sub(r"(?m)^( *)# ([a-z0-9_]+: .*)$", r"\1\2", text)
        self.read(all_of_it)
        for name in all_settings():
            key = name.rpartition(".")[2]
            self.assertRegex(all_of_it, rf"(?m)^[^#]*\b{key}:", name)
        settings = load(ROOT / "etc/aprp.yaml").settings
        self.assertEqual(settings.log, LogSettings())
        self.assertEqual(settings.memory, Settings.model_fields["memory"].default)
        uncommented = self.read(all_of_it).settings
        examples = {
            "health",
            "host",
            "headers",
            "response_headers",
            "secure_link",
            "sources",
            "tls",
        }
        for plain, full in zip(settings.routes, uncommented.routes, strict=True):
            self.assertEqual(plain.model_dump(exclude=examples), full.model_dump(exclude=examples))

    def test_the_documentation_has_every_setting(self) -> None:
        text = (ROOT / "docs/configuration.md").read_text()
        for name in all_settings():
            self.assertRegex(text, rf"(?m)^##+ `{re.escape(name)}`$", name)

    def test_where_a_file_is_looked_for(self) -> None:
        self.patch(
            sys.modules["aprp.config.loading"], "PLACES", (self.folder / "one", self.folder / "two")
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
