"""Run the package's service in a chroot as systemd would, and try what it does.

    unshare --mount --net --pid --fork python3 deb/stand_in.py ROOT plain|everything

It reads the unit for the command, the user and the folders. As the unit says: the file system is
read-only but for the service's own folders and a private /tmp, no capabilities, no new privileges,
no home folders; RuntimeDirectory=, LogsDirectory= and the notification socket are there. System
call filters aren't applied. `plain` starts the configuration that is installed, `everything` one
with TLS, passwords, workers and logs.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

PATIENCE = 60.0
EVERYTHING = """\
listen: ["tcp:8000:interface=127.0.0.1", "tls:8443:interface=127.0.0.1"]
certificates: [{certificate: cert.pem, key: key.pem}]
admin: tcp:8001:interface=127.0.0.1
workers: 2
stop_timeout: 5s
limits: {memory: 1GiB}
log: {file: /var/log/aprp/aprp.log, access: /var/log/aprp/access.log}
routes:
  - {path: /, upstream: "http://127.0.0.1:9000/", bandwidth: 100MiB}
  - {path: /closed/, upstream: "http://127.0.0.1:9000/", basic_auth: users}
"""
USER = "films:$2y$05$abcdefghijklmnopqrstuuRlY6TDFsRbwr5sHqMFkNsgFR2uBTlKW\n"
"""No password is this."""


def settings_of(unit: Path) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE))


class Service:
    """The service, as its unit has it."""

    def __init__(self, root: Path) -> None:
        self.unit = settings_of(root / "lib/systemd/system/aprp.service")
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind("\0aprp-stand-in")
        self._manager.settimeout(PATIENCE)
        self._process = subprocess.Popen(
            ["chroot", root, "setpriv", f"--reuid={self.unit['User']}",
             f"--regid={self.unit['Group']}", "--init-groups", "--no-new-privs",
             "--bounding-set=-all", "--inh-caps=-all", "--", *self.unit["ExecStart"].split()],
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "NOTIFY_SOCKET": "@aprp-stand-in",
                "RUNTIME_DIRECTORY": "/run/aprp",
                "LOGS_DIRECTORY": "/var/log/aprp",
            },
            umask=int(self.unit["UMask"], 8),
            preexec_fn=lambda: os.chdir("/"),
        )  # fmt: skip
        self.until("READY=1")

    def until(self, wanted: str) -> None:
        """Wait for a notification."""
        while wanted not in (told := self._manager.recv(65536).decode()):
            print("  notified:", told.replace("\n", " "))
        print("  notified:", told.replace("\n", " "))

    def reload(self) -> None:
        """ExecReload=, which is a signal."""
        assert "kill -HUP $MAINPID" in self.unit["ExecReload"], self.unit["ExecReload"]
        self._process.send_signal(signal.SIGHUP)
        self.until("RELOADING=1")
        self.until("READY=1")

    def stop(self) -> None:
        self._process.terminate()
        self.until("STOPPING=1")
        status = self._process.wait(float(self.unit["TimeoutStopSec"].rstrip("s")))
        check("it stops with status 0", status in (0, -signal.SIGTERM), status)


def prepare(root: Path, unit: dict[str, str], writable: list[str]) -> None:
    """The file system as the service sees it, in a mount namespace of our own."""

    def mount(*words: object) -> None:
        subprocess.run(["mount", *map(str, words)], check=True)

    mount("--bind", root, root)
    mount("-t", "proc", "-o", "hidepid=invisible,subset=pid", "proc", root / "proc")
    for where in ("tmp", "run", "home", "root"):
        mount("-t", "tmpfs", "-o", "mode=1777" if where == "tmp" else "mode=755", "tmpfs",
              root / where)  # fmt: skip
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "dev")
    for device in ("null", "zero", "urandom", "random"):
        (root / "dev" / device).touch()
        mount("--bind", f"/dev/{device}", root / "dev" / device)
    (root / "run" / unit["RuntimeDirectory"]).mkdir()
    inside(root, "chown", f"{unit['User']}:{unit['Group']}", f"/run/{unit['RuntimeDirectory']}")
    cache = f"var/cache/{unit['CacheDirectory']}"
    (root / cache).mkdir(mode=0o700, exist_ok=True)
    inside(root, "chown", f"{unit['User']}:{unit['Group']}", f"/{cache}")
    for folder in (*writable, cache):
        mount("--bind", root / folder, root / folder)
    mount("-o", "remount,bind,ro", root)


def inside(root: Path, *command: str) -> str:
    done = subprocess.run(
        ["chroot", root, *command], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if done.returncode:
        raise SystemExit(f"FAILED: {' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def check(what: str, good: object, why: object = "") -> None:
    print(f"  {'ok' if good else 'FAILED'}: {what}" + ("" if good else f" ({why})"))
    if not good:
        raise SystemExit(1)


def status_of(url: str, password: str = "") -> int:
    fields = {"Authorization": "Basic " + base64.b64encode(password.encode()).decode()}
    request = urllib.request.Request(url, headers=fields if password else {})
    context = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE, context=context) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def write_everything(root: Path, unit: dict[str, str]) -> None:
    """A configuration with the files that it names, which only root and the group may read."""
    etc = root / "etc/aprp"
    shutil.copy(etc / "aprp.yaml", etc / "installed")
    (etc / "aprp.yaml").write_text(EVERYTHING)
    (etc / "users").write_text(USER)
    inside(root, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=try",
           "-keyout", "/etc/aprp/key.pem", "-out", "/etc/aprp/cert.pem")  # fmt: skip
    for name in ("aprp.yaml", "users", "key.pem"):
        inside(root, "chown", f"root:{unit['Group']}", f"/etc/aprp/{name}")
        inside(root, "chmod", "640", f"/etc/aprp/{name}")


def serve_files() -> None:
    """An upstream at port 9000."""
    subprocess.Popen(
        [sys.executable, "-m", "http.server", "9000", "--bind", "127.0.0.1"],
        cwd="/usr/share/common-licenses",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", 9000), 1).close()
            return
        except OSError:
            time.sleep(0.02)


def main(root: Path, what: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    unit = settings_of(root / "lib/systemd/system/aprp.service")
    everything = what == "everything"
    if everything:
        write_everything(root, unit)
        serve_files()
    prepare(root, unit, [f"var/log/{unit['LogsDirectory']}"])
    try:
        service = Service(root)
        check("alive", status_of("http://127.0.0.1:8001/healthz") == 200)
        check("404 off its routes or from upstream", status_of("http://127.0.0.1:8000/no") == 404)
        check("metrics", status_of("http://127.0.0.1:8001/metrics") == 200)
        check("aprp ctl", "serving" in inside(root, "aprp", "ctl", "status"))
        if everything:
            check("a file over TLS", status_of("https://127.0.0.1:8443/GPL-3") == 200)
            check("a password is asked for", status_of("http://127.0.0.1:8000/closed/GPL-3") == 401)
            wrong = status_of("http://127.0.0.1:8000/closed/GPL-3", "films:wrong")
            check("a wrong one is refused", wrong == 401, wrong)
        service.reload()
        check("aprp ctl reload", inside(root, "aprp", "ctl", "reload"))
        service.stop()
        if everything:
            logged = (root / "var/log/aprp/access.log").read_text()
            check("the access log", "GET /GPL-3 HTTP/1.1" in logged, logged)
            log = (root / "var/log/aprp/aprp.log").read_text()
            check("no traceback", "Traceback" not in log, log)
    finally:
        if everything:
            subprocess.run(["mount", "-o", "remount,bind,rw", root], check=True)
            etc = root / "etc/aprp"
            for name in ("users", "key.pem", "cert.pem"):
                (etc / name).unlink()
            (etc / "aprp.yaml").write_text((etc / "installed").read_text())
            (etc / "installed").unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
