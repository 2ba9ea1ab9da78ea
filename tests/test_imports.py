"""What a program doesn't load unless it needs it: loading takes time, and memory while it runs."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.test_floors import ROOT

GET = "import aprp.cli; aprp.cli.parsers(['get']); from twisted.internet import reactor"
NOT_FOR_GET = (
    "annotated_types",
    "aprp.cache",
    "aprp.config.model",
    "aprp.config.network",
    "aprp.daemon",
    "aprp.get.bars",
    "aprp.init",
    "aprp.mirror",
    "aprp.simulator.command",
    "aprp.upstream.http.h2_connection",
    "aprp.upstream.http.tls",
    "aprp.upstream.metalink.lookup",
    "aprp.upstream.metalink.parsing",
    "aprp.web",
    "defusedxml",
    "prometheus_client",
    "pydantic",
    "pydantic_core",
    "rich",
    "twisted.web.resource",
    "twisted.web.server",
    "yaml",
)
DAEMON = "import aprp.daemon.service; from twisted.internet import reactor"
NOT_FOR_THE_DAEMON = (
    "aprp.config.schema",
    "aprp.demo",
    "aprp.get",
    "aprp.init",
    "aprp.library",
    "aprp.mirror",
    "aprp.simulator",
    "aprp.upstream.http.h2_connection",
    "aprp.upstream.http.tls",
    "aprp.upstream.metalink",
    "aprp.upstream.transfer.transfer",
    "aprp.web.multi_source",
    "aprp.web.query_proxy",
    "automat",
    "defusedxml",
    "multiprocessing",
    "rich",
    "sqlite3",
    "treq",
    "twisted.application.internet",
    "twisted.conch",
    "twisted.names",
    "twisted.web.static",
)


def loaded_by(program: str, names: tuple[str, ...]) -> list[str]:
    """Return which of these modules a program loads."""
    told = f"{program}\nimport sys\nprint([each for each in {names!r} if each in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return list(eval(out.stdout))


class ImportTests(SynchronousTestCase):
    def test_a_download(self) -> None:
        self.assertEqual(loaded_by(GET, NOT_FOR_GET), [])

    def test_a_daemon(self) -> None:
        self.assertEqual(loaded_by(DAEMON, NOT_FOR_THE_DAEMON), [])

    def test_settings_without_their_source(self) -> None:
        """The sentences under the settings are read from it when something shows them."""
        program = "import aprp.config.loading, linecache; print([*linecache.cache])"
        out = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )
        self.assertEqual([each for each in eval(out.stdout) if "aprp" in each], [])
