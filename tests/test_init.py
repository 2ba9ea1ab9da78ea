"""`aprp init`: what it writes passes `aprp check`, and nothing is overwritten."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from aprp.cli import main
from aprp.config import AdminSettings, SourcesRoute, UpstreamRoute, load
from aprp.init.command import ask
from aprp.init.text import Wanted, configuration, endpoint
from tests.support.config_case import ConfigCase
from tests.support.running import ROOT


def run(*arguments: str, terminal: str | None = None) -> tuple[int, str, str]:
    """Status, output and errors; `terminal` is what is typed on it."""
    out, err, typed = io.StringIO(), io.StringIO(), io.StringIO(terminal or "")
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch("sys.stdin", typed),
        mock.patch.object(typed, "isatty", return_value=terminal is not None),
    ):
        return main(["init", *arguments]), out.getvalue(), err.getvalue()


class WritingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp()).absolute()

    def test_an_upstream(self) -> None:
        status, out, _ = run("--upstream", "https://a.example/films/", "-o", str(self.file))
        self.assertEqual((status, out), (0, ""))
        loaded = load(self.file)
        (route,) = loaded.settings.routes
        assert isinstance(route, UpstreamRoute)
        self.assertEqual(str(route.upstream), "https://a.example/films/")
        self.assertEqual(loaded.settings.listen, ("tcp:8000:interface=127.0.0.1",))
        self.assertEqual(
            loaded.settings.admin, AdminSettings(listen="tcp:8001:interface=127.0.0.1")
        )
        self.assertEqual(loaded.warnings, ())

    def test_sources_and_ports(self) -> None:
        urls = ("--source", "http://a/", "--source", "http://[::1]:80/b?c='d'")
        run(*urls, "--listen", "[::1]:80", "--admin", "none", "-o", str(self.file))
        settings = load(self.file).settings
        (route,) = settings.routes
        assert isinstance(route, SourcesRoute)
        self.assertEqual(len(route.sources), 2)
        self.assertEqual((settings.listen, settings.admin), ((r"tcp6:80:interface=\:\:1",), None))

    def test_to_standard_output(self) -> None:
        status, out, err = run("--upstream", "http://a/")
        self.file.write_text(out)
        load(self.file)
        self.assertEqual((status, err), (0, ""))

    def test_nothing_is_overwritten(self) -> None:
        self.file.write_text("mine")
        status, _, err = run("--upstream", "http://a/", "-o", str(self.file))
        self.assertEqual(status, 1)
        self.assertEqual(
            err, f"aprp init: {self.file} exists; name another file, or move it away\n"
        )
        self.assertEqual(self.file.read_text(), "mine")

    def test_what_cannot_be_served_is_not_written(self) -> None:
        for arguments, said in (
            (("--upstream", "ftp://a/"), "routes[0].upstream: "),
            (("--upstream", "http://a/#b"), "routes[0].upstream: "),
            (("--source", "http://a/", "--listen", "tcp:x"), "listen[0]: has the port 'x'"),
            (("--source", "http://a/", "--admin", "8000"), "admin: is already listened on"),
        ):
            status, _, err = run(*arguments, "-o", str(self.file))
            self.assertEqual((status, err.count("\n")), (1, 1), err)
            self.assertIn(f"aprp init: {said}", err)
            self.assertFalse(self.file.exists())
        status, _, err = run("--upstream", "http://a/", "-o", str(self.file / "none"))
        self.assertEqual((status, err.count("\n")), (1, 1))

    def test_without_flags_it_asks(self) -> None:
        status, out, err = run(terminal="http://a/ http://b/\n\nnone\n")
        self.assertEqual(status, 0)
        self.assertIn("- url: http://b/", out)
        self.assertIn("\n# admin: ", out)
        self.assertIn("Listen on [127.0.0.1:8000]: ", err)

    def test_without_flags_and_terminal(self) -> None:
        status, out, err = run()
        self.assertEqual((status, out, err.count("\n")), (2, "", 1))

    def test_what_was_given_is_not_asked(self) -> None:
        asked: list[str] = []

        def prompt(text: str) -> str:
            asked.append(text)
            return "http://a/\n"

        ask(prompt, "8000", "8001")
        self.assertEqual(len(asked), 1)

    def test_ports(self) -> None:
        for given, meant in (
            ("8000", "tcp:8000:interface=127.0.0.1"),
            ("0.0.0.0:80", "tcp:80:interface=0.0.0.0"),
            ("[fd00:0:0:1::2]:80", r"tcp6:80:interface=fd00\:0\:0\:1\:\:2"),
            ("unix:/run/a", "unix:/run/a"),
        ):
            self.assertEqual(endpoint(given), meant)

    def test_the_sample(self) -> None:
        status, out, _ = run("--sample")
        self.assertEqual((status, out), (0, (ROOT / "etc/aprp.yaml").read_text()))


class CommentTests(ConfigCase):
    def test_settings_that_are_commented_out_have_no_faults_either(self) -> None:
        for upstream, sources in (("http://a/", ()), (None, ("http://a/", "http://b/"))):
            text = configuration(Wanted(upstream, sources, "tcp:1", None))
            self.read(re.sub(r"^( *)# (?=[a-z_]+: )(?!.*\.$)", r"\1", text, flags=re.MULTILINE))
