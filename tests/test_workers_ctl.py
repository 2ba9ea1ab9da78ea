"""`aprp ctl` with `workers: 2`: commands reach all of them, and their errors come back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from tests.support.patience import PATIENCE
from tests.support.running import get
from tests.test_workers import WorkersCase, mirrored


class ControlTests(WorkersCase):
    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "aprp", "ctl", "--config", self.path, "--json", *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def ctl(self, *words: str) -> Any:
        done = self.command(*words)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return json.loads(done.stdout)

    def test_all_are_commanded_and_their_successors(self) -> None:
        address = self.start(mirrored("/", self.origin))
        self.assertEqual(self.ctl("status")["pid"], self.daemon.process.pid)
        self.assertEqual([each["routes"] for each in self.ctl("sources")], [["/"]])
        self.ctl("drain", self.origin.url)
        for worker in (0, 1):
            self.assertEqual(self.by(worker, lambda: get(address, "/x"))[0], 503)
        os.kill(self.pids()[0], signal.SIGKILL)
        self.daemon.wait_for("was killed by SIGKILL")
        self.eventually(lambda: self.metric("aprp_workers") == 2.0)
        self.assertEqual(self.by(0, lambda: get(address, "/x"))[0], 503)
        sent = json.dumps({"source": self.origin.url}).encode()
        json_sent = {"Content-Type": "application/json"}
        self.assertEqual(get(self.admin, "/resume", json_sent, "POST", sent)[0], 200)
        for worker in (0, 1):
            self.assertEqual(self.by(worker, lambda: get(address, "/x"))[0], 200)
        self.assertEqual(self.ctl("transfers"), [])
        self.assertTrue(self.ctl("reload")["ok"])

    def test_a_command_that_no_worker_can_do_says_why(self) -> None:
        self.start(mirrored("/", self.origin))
        for command in ("drain", "resume"):
            done = self.command(command, "http://other/")
            self.assertEqual(done.returncode, 1)
            self.assertIn("no source is called 'http://other/'", done.stderr)
            self.assertNotIn("internal error", self.daemon.err)
