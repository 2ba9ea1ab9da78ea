"""Programs that use the library, in processes of their own, beside mirrors in this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from twisted.internet.threads import deferToThread

from tests.support.mirrored_case import MirroredCase
from tests.support.patience import PATIENCE

ROOT = Path(__file__).parent.parent.parent


class ScriptCase(MirroredCase):
    def start(self, *command: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """A program, ended with the test."""
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore", "TERM": "dumb"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

        def end() -> None:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.communicate()

        self.addCleanup(end)
        return process

    async def ended(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Its exit status and what it wrote; the reactor goes on meanwhile."""
        out, err = await deferToThread(process.communicate, timeout=PATIENCE)
        return process.returncode, out, err

    async def script(self, code: str, *arguments: str) -> str:
        """What a script prints; it has to end well."""
        process = self.start(sys.executable, "-c", textwrap.dedent(code), *arguments)
        status, out, err = await self.ended(process)
        self.assertEqual(status, 0, err)
        return out
