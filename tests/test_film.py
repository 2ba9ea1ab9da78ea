"""A film in a player, at its own pace: of three mirrors two are killed, and nobody notices."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.nginx import Nginx
from tests.support.patience import PATIENCE
from tests.support.programs import need
from tests.support.running import Running

SECONDS = 12
KILLED_AT = (3.0, 6.0)
"""Seconds of the film."""
CONFIG = """\
listen: [tcp:0:interface=127.0.0.1]
log: {{access: "-", access_format: json}}
routes:
  - path: /
    window: 1MiB
    block_size: 256KiB
    sources: [{sources}]
"""
PLAYER = (
    "--no-config",
    "--no-terminal",
    "--vo=null",
    "--ao=null",
    "--cache=yes",
    "--cache-secs=0.5",  # so that it can't get over a stall by what it has ahead
    "--demuxer-readahead-secs=0.5",
)


def make_clip(path: Path) -> None:
    """A test picture and a tone, padded to 1 MB/s, more than all buffers on the way hold."""
    command = [need("ffmpeg"), "-hide_banner", "-loglevel", "error", "-y"]
    command += ["-f", "lavfi", "-i", f"testsrc2=size=320x180:rate=24:duration={SECONDS}"]
    command += ["-f", "lavfi", "-i", f"sine=frequency=220:duration={SECONDS}"]
    command += ["-c:v", "mpeg2video", "-g", "12", "-b:v", "800k", "-c:a", "mp2"]
    made = subprocess.run([*command, "-muxrate", "8000k", "-f", "mpegts", path])
    assert made.returncode == 0
    os.utime(path, (1767225600, 1767225600))


class Player:
    """mpv without a screen, asked over its socket where it is."""

    def __init__(self, url: str, folder: Path) -> None:
        self.began = time.monotonic()
        self.longest_stall = 0.0
        """Seconds for which the film waited for bytes after it began."""
        self._moved = self.began
        self._at = 0.0
        path = folder / "mpv"
        where = f"--input-ipc-server={path}"
        self.process = subprocess.Popen([need("mpv"), *PLAYER, where, url])
        self._socket = _connected(path)
        self._answers = self._socket.makefile("r")

    def at(self) -> float:
        """Seconds of the film; the last known once it has ended."""
        try:
            now = self._ask("get_property", "playback-time") or 0.0
        except (OSError, ValueError):
            return self._at
        if now > self._at or not self._waits():
            self._at, self._moved = now, time.monotonic()
        elif self._at:
            self.longest_stall = max(self.longest_stall, time.monotonic() - self._moved)
        return self._at

    def _waits(self) -> bool:
        """Whether it waits for bytes; on a busy machine it may wait for its decoder."""
        try:
            return bool(self._ask("get_property", "paused-for-cache"))
        except (OSError, ValueError):
            return False

    def _ask(self, *command: str) -> Any:
        self._socket.sendall(json.dumps({"command": command, "request_id": 7}).encode() + b"\n")
        while True:
            answer = json.loads(self._answers.readline())
            if answer.get("request_id") == 7:
                return answer.get("data")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._answers.close()
        self._socket.close()


def _connected(path: Path) -> socket.socket:
    deadline = time.monotonic() + PATIENCE
    while True:
        found = socket.socket(socket.AF_UNIX)
        found.settimeout(PATIENCE)
        try:
            found.connect(str(path))
            return found
        except OSError:
            found.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def asked_last(nginx: Nginx) -> float:
    """When it answered a request, at last: a film comes from the mirror that is nearest then."""
    log = nginx.folder / "seen.log"
    return log.stat().st_mtime if log.exists() else 0.0


class FilmTest(SynchronousTestCase):
    timeout = 120

    def test_two_of_three_mirrors_die(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        make_clip(folder / "clip.ts")
        mirrors = []
        for number in range(3):
            nginx = Nginx(folder / str(number), "limit_rate 1500k; access_log {folder}/seen.log;")
            self.addCleanup(nginx.stop)
            os.link(folder / "clip.ts", nginx.www / "clip.ts")
            mirrors.append(nginx)
        config = folder / "aprp.yaml"
        urls = ", ".join(f"{{url: '{nginx.url}'}}" for nginx in mirrors)
        config.write_text(CONFIG.format(sources=urls))
        daemon = Running(self, "--config", str(config))
        player = Player(f"http://{daemon.ready()}/clip.ts", folder)
        self.addCleanup(player.end)
        left = list(mirrors)
        killed: list[Nginx] = []
        while player.process.poll() is None:
            at = player.at()
            if len(killed) < len(KILLED_AT) and at >= KILLED_AT[len(killed)]:
                killed.append(max(left, key=asked_last))
                left.remove(killed[-1])
                killed[-1].stop()
            self.assertLess(time.monotonic() - player.began, PATIENCE + SECONDS)
            time.sleep(0.02)
        self.assertEqual((player.process.returncode, len(killed)), (0, len(KILLED_AT)))
        self.assertGreater(player.at(), SECONDS - 1.0)
        self.assertLess(player.longest_stall, 1.0)
        self.assertGreater(time.monotonic() - player.began, SECONDS - 1.0)
        # by the second death the rest may be there already
        self.assertIn(f"127.0.0.1:{killed[0].port} ", daemon.err)
        daemon.stop()
        for line in daemon.out.splitlines():
            # a player leaves off where it only looks for the length
            self.assertIn(json.loads(line)["ended"], ("complete", "client left"), line)
