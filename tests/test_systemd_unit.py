"""The units fit together, start what they say, and shut the service in."""

from __future__ import annotations

import re
import shlex
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from aprp.config import Settings
from aprp.daemon.options import Options
from aprp.daemon.process import STOP_MARGIN
from tests.support.programs import need
from tests.support.running import ROOT

SERVICE = ROOT / "systemd/aprp.service"
SOCKET = ROOT / "systemd/aprp.socket"


def settings(unit: str) -> dict[str, str]:
    """The last value of each setting."""
    return dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))


class UnitTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.service = settings(SERVICE.read_text())

    def test_exposure_is_low(self) -> None:
        # The threshold is in tenths.
        command = ["security", "--no-pager", "--offline=true", "--threshold=15", str(SERVICE)]
        done = subprocess.run(
            [need("systemd-analyze"), *command], capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("Overall exposure level for aprp.service", done.stdout)

    def test_it_tells_when_it_is_ready_and_is_no_user_of_note(self) -> None:
        for name, value in (
            ("Type", "notify-reload"),
            ("NotifyAccess", "main"),
            ("DynamicUser", "yes"),
            ("Restart", "on-failure"),
        ):
            self.assertEqual(self.service[name], value)

    def test_what_tls_needs_is_allowed(self) -> None:
        self.assertNotIn("MemoryDenyWriteExecute", self.service)

    def test_it_has_the_time_that_it_takes_to_stop(self) -> None:
        needed = Settings.model_fields["stop_timeout"].default + STOP_MARGIN
        self.assertEqual(self.service["TimeoutStopSec"], f"{needed:g}s")

    def test_reload_is_a_hang_up(self) -> None:
        """That of Type=notify-reload itself: a command would reload once more."""
        self.assertNotIn("ExecReload", self.service)
        self.assertEqual(self.service.get("ReloadSignal", "SIGHUP"), "SIGHUP")

    def test_the_command_is_one_we_know(self) -> None:
        program, *words = shlex.split(self.service["ExecStart"])
        self.assertTrue(program.endswith("/bin/twistd"))
        self.assertEqual(words[:3], ["-n", "--pidfile=", "aprp"])
        options = Options()
        options.parseOptions(words[3:])
        self.assertEqual(options["config"], "/etc/aprp/aprp.yaml")

    def test_the_socket_is_the_one_that_the_endpoint_string_names(self) -> None:
        text = SOCKET.read_text()
        name = settings(text)["FileDescriptorName"]
        self.assertIn(f"systemd:domain=INET:name={name}", text)
        self.assertTrue(settings(text)["ListenStream"].startswith("127.0.0.1:"))
