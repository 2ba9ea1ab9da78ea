"""The parts of the Debian package that can be checked without building it."""

from __future__ import annotations

import subprocess

from twisted.trial.unittest import SynchronousTestCase

from tests.support.running import ROOT


class PackageTests(SynchronousTestCase):
    def test_the_scripts_are_shell(self) -> None:
        for name in ("build", "try.sh", "postinst", "prerm", "postrm"):
            subprocess.run(["sh", "-n", str(ROOT / "deb" / name)], check=True)

    def test_the_unit_runs_the_package_as_a_user_that_stays(self) -> None:
        command = ["sed", "-f", str(ROOT / "deb/unit.sed"), str(ROOT / "systemd/aprp.service")]
        unit = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        lines = unit.split("\n")
        for line in (
            "Type=notify",
            'ExecReload=/bin/sh -c "kill -HUP $MAINPID"',
            "User=aprp",
            "CacheDirectory=aprp",
        ):
            self.assertIn(line, lines)
        self.assertIn("ExecStart=/opt/aprp/bin/twistd -n", unit)
        for other in ("DynamicUser", "notify-reload", "/usr/local"):
            self.assertNotIn(other, unit)
