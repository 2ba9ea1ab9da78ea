"""The words of `twistd aprp`, and what is said of those that make no sense."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aprp import __version__
from aprp.config import SourcesRoute
from aprp.daemon.options import Options


def parsed(*words: str) -> Options:
    options = Options()
    options.parseOptions(list(words))
    return options


class OptionsTests(SynchronousTestCase):
    def test_nothing_named_means_a_file_that_is_looked_for(self) -> None:
        options = parsed()
        self.assertEqual((options["config"], options["demo"], options.quick), (None, 0, None))

    def test_a_file(self) -> None:
        self.assertEqual(parsed("--config", "x.yaml")["config"], "x.yaml")
        self.assertEqual(parsed("-c", "x.yaml")["config"], "x.yaml")

    def test_demo(self) -> None:
        options = parsed("--demo", "--port", "8123")
        self.assertEqual((options["demo"], options["port"]), (1, 8123))
        self.assertEqual(parsed("--demo")["port"], 8000)

    def test_an_upstream(self) -> None:
        settings = parsed("--upstream", "http://a.example/films/", "--port", "8123").quick
        assert settings is not None
        self.assertEqual(settings.listen, ("tcp:8123:interface=127.0.0.1",))
        self.assertEqual([route.path for route in settings.routes], ["/"])

    def test_a_directory_as_a_source(self) -> None:
        folder = self.mktemp()
        os.mkdir(folder)
        settings = parsed("--source", f"./{folder}", "--source", "http://b.example/").quick
        assert settings is not None
        (route,) = settings.routes
        assert isinstance(route, SourcesRoute)
        self.assertEqual(route.sources[0].path, Path(folder).absolute())
        with contextlib.redirect_stderr(io.StringIO()) as said, self.assertRaises(SystemExit):
            parsed("--source", "/none")
        self.assertIn("--source: /none: can't be read: No such file", said.getvalue())

    def test_sources(self) -> None:
        settings = parsed("--source", "http://a.example/", "--source", "http://b.example/").quick
        assert settings is not None
        self.assertEqual(settings.listen, ("tcp:8000:interface=127.0.0.1",))
        route = settings.routes[0]
        assert isinstance(route, SourcesRoute)
        self.assertEqual(len(route.sources), 2)

    def test_usage_errors_name_the_words_they_are_about(self) -> None:
        for words, named in (
            (("--demo", "--config", "x"), ("--config", "--demo")),
            (("--upstream", "http://a/", "--source", "http://b/"), ("--upstream", "--source")),
            (("--port", "80"), ("--port", "--upstream")),
            (("--config", "x", "--port", "80"), ("--port", "listen")),
            (("--demo", "--port", "x"), ("--port x",)),
            (("--demo", "--port", "+80"), ("--port +80",)),
            (("--demo", "--port", "65536"), ("--port 65536",)),
            (("--demo", "--port", "9" * 5000), ("--port 999",)),
            (("--upstream", "ftp://a.example/"), ("--upstream", "ftp://a.example/")),
            (("--source", "a.example"), ("--source", "a.example")),
            (("x.yaml",), ("x.yaml",)),
        ):
            said = self.refusal(*words)
            for word in named:
                self.assertIn(word, said)

    def test_a_mistyped_option_is_one_line_with_a_suggestion(self) -> None:
        for word, meant in (("--confg", "--config"), ("--upstrem=x", "--upstream")):
            said = self.refusal(word)
            self.assertEqual(said.count("\n"), 1)
            self.assertIn(f"did you mean {meant}?", said)

    def test_the_version_is_that_of_the_package(self) -> None:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertRaises(SystemExit, parsed, "--version")
        self.assertEqual(out.getvalue(), f"aprp {__version__}\n")

    def refusal(self, *words: str) -> str:
        """What is said of words that are refused."""
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            end = self.assertRaises(SystemExit, parsed, *words)
        self.assertEqual(end.code, 2)
        return said.getvalue()
