"""The command ``aprp``, in the process and as people start it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aprp import __version__, cli
from aprp.daemon.options import Options
from tests.support.patience import HANG

ROOT = Path(__file__).parent.parent
GOOD = "listen: [tcp:0]\nroutes:\n  - {path: /, upstream: 'http://a/'}\n"


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main(arguments)
        except SystemExit as end:
            status = int(end.code or 0)
    return status, out.getvalue(), err.getvalue()


class CheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file = self.folder / "aprp.yaml"

    def test_no_faults(self) -> None:
        self.file.write_text(GOOD)
        self.assertEqual(
            run("check", "--config", str(self.file)), (0, f"{self.file}: no faults\n", "")
        )

    def test_every_fault_is_a_line(self) -> None:
        self.file.write_text(GOOD + "memory: 5\nlog: {keep: x}\n")
        status, out, err = run("check", "--config", str(self.file))
        self.assertEqual((status, err), (1, ""))
        first, second = out.splitlines()
        self.assertTrue(first.startswith(f"{self.file}:4:9: memory: "), first)
        self.assertTrue(second.startswith(f"{self.file}:5:13: log.keep: "), second)

    def test_a_file_that_is_not_there(self) -> None:
        status, out, _ = run("check", "--config", str(self.file))
        self.assertEqual(status, 1)
        self.assertTrue(out.startswith(f"{self.file}:1:1: file: can't be read"), out)

    def test_a_reader_that_had_enough(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-m", "aprp", "check", "--schema"]
        with os.fdopen(writing, "wb") as out:
            done = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr), (1, b""))

    def test_warnings_are_no_faults(self) -> None:
        self.file.write_text(GOOD.replace("'http://a/'", "'http://a/', redirects: off"))
        status, out, _ = run("check", "--config", str(self.file))
        self.assertEqual(status, 0)
        self.assertIn(f"{self.file}:3:38: routes[0].redirects: warning: ", out)

    def test_the_schema(self) -> None:
        status, out, _ = run("check", "--schema")
        self.assertEqual(status, 0)
        schema = json.loads(out)
        self.assertEqual(schema["$schema"], "https://json-schema.org/draft/2020-12/schema")
        self.assertEqual(schema["required"], ["listen", "routes"])
        self.assertEqual(schema["properties"]["memory"]["default"], "512MiB")
        routes = schema["$defs"]
        self.assertIn(False, routes["UpstreamRoute"]["properties"]["path_ranges"]["enum"])
        self.assertIn("integer", routes["SourceSettings"]["properties"]["connections"]["type"])
        self.assertEqual(
            routes["UpstreamRoute"]["properties"]["first_byte_timeout"]["default"], "60s"
        )
        mappings = [schema, *routes.values()]
        for mapping in mappings:
            self.assertFalse(mapping["additionalProperties"])
            for key, about in mapping["properties"].items():
                self.assertTrue(about.get("description"), key)
                self.assertTrue(about.get("examples"), key)

    def test_not_understood(self) -> None:
        for arguments in (
            (),
            ("chek",),
            ("check", "--schema", "--config", "x"),
            ("check", "--config", "x", "y"),
            ("serve", "--confg", "x"),
        ):
            status, _, err = run(*arguments)
            self.assertEqual((status, err.count("\n")), (2, 1), arguments)

    def test_what_was_probably_meant(self) -> None:
        for arguments, meant in (
            (("chek",), "check"),
            (("get", "--limt-rate", "5", "http://a/"), "--limit-rate"),
            (("simulate", "--scenaro=x"), "--scenario"),
            (("serve", "--upstrem", "x"), "--upstream"),
        ):
            self.assertIn(f"did you mean {meant}?", run(*arguments)[2])

    def test_the_file_needs_no_option(self) -> None:
        self.file.write_text(GOOD)
        self.assertEqual(run("check", str(self.file)), (0, f"{self.file}: no faults\n", ""))

    def test_version(self) -> None:
        self.assertEqual(run("--version"), (0, f"aprp {__version__}\n", ""))


class CommandTests(SynchronousTestCase):
    def test_all_of_them_are_listed(self) -> None:
        status, out, _ = run("--help")
        self.assertEqual(status, 0)
        for name in ("serve", "check", "init", "get", "simulate"):
            self.assertIn(f"    {name} ", out)

    def test_serve_is_called_as_it_was(self) -> None:
        self.patch(Options, "program", Options.program)
        self.assertTrue(run("serve", "--help")[1].startswith("Usage: aprp serve [--config FILE"))

    def test_get_tells_its_exit_status(self) -> None:
        self.assertIn("exit status:", run("get", "--help")[1])

    def test_what_get_does_not_understand(self) -> None:
        for arguments in (
            (),
            ("ftp://a.example/x",),
            ("http://a.example/x", "--range", "9-1"),
            ("http://a.example/x", "--range", "0-1,3-4"),
            ("http://a.example/x", "--limit-rate", "fast"),
            ("http://a.example/x", "--header", "no colon"),
            ("http://a.example/x", "--header", "Host: b"),
            ("http://a.example/x", "--checksum", "sha-256=00"),
            ("http://a.example/x", "--ca", "/none.pem"),
            ("http://a.example/x", "-o", "-", "-c"),
        ):
            status, out, err = run("get", *arguments)
            self.assertEqual((status, out), (2, ""), arguments)
            self.assertTrue(err, arguments)


class ProcessTests(SynchronousTestCase):
    def aprp(self, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "aprp", *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=HANG,
        )

    def test_the_example_of_the_checkout_is_found_and_has_no_faults(self) -> None:
        done = self.aprp("check")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(done.stdout.endswith("etc/aprp.yaml: no faults\n"), done.stdout)

    def test_the_status_is_that_of_the_process(self) -> None:
        folder = Path(self.mktemp())
        (folder / "etc").mkdir(parents=True)
        (folder / "etc/aprp.yaml").write_text("listen: x\n")
        done = self.aprp("check", cwd=folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("etc/aprp.yaml:1:9: listen: must be a list", done.stdout)

    def test_names_of_files_may_be_any_bytes(self) -> None:
        done = subprocess.run(
            [sys.executable.encode(), b"-m", b"aprp", b"check", b"--config", b"\xff.yaml"],
            cwd=ROOT,
            capture_output=True,
            timeout=HANG,
        )
        self.assertEqual((done.returncode, done.stderr), (1, b""))
        self.assertIn(b"\\udcff.yaml:1:1: file: can't be read", done.stdout)

    def test_checking_does_not_load_a_reactor(self) -> None:
        program = "import sys, aprp.config; print('twisted.internet.reactor' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )
        self.assertEqual(done.stdout.strip(), "False")
