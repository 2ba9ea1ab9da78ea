"""A wheel made from the checkout works from any folder, and goes without a trace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

from twisted.trial.unittest import SynchronousTestCase

import aprp
from aprp.demo.files import CLIP, demo_files
from tests.support.running import ROOT, Running, get

SITE_PACKAGES = Path(sysconfig.get_path("purelib"))
OURS = ("aprp", "__editable__", "dropin.cache", "__pycache__")


def run(*command: str | Path) -> str:
    """What it printed; it must end well. Nothing of the checkout is on its path."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command], cwd="/", env=clean, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(*arguments: str | Path) -> str:
    return run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)


def context(into: Path) -> None:
    """A copy of what a container is built from: what .dockerignore lets through."""
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source = ROOT / line[1:]
            if source.is_dir():
                shutil.copytree(
                    source, into / source.name, ignore=shutil.ignore_patterns(*OURS[2:])
                )
            else:
                shutil.copy(source, into)


def wheel(into: Path) -> Path:
    """Built without a network where the setuptools at hand can do so."""
    source = into / "source"
    source.mkdir()
    context(source)
    try:
        modern = tuple(map(int, version("setuptools").split(".")[:2])) >= (70, 1)
    except ImportError:
        modern = False
    isolation = ["--no-build-isolation"] if modern else []
    pip("wheel", "--quiet", "--no-deps", *isolation, "--wheel-dir", into, source)
    (built,) = into.glob("*.whl")
    return built


class Environment:
    """A fresh virtual environment that has what aprp depends on, borrowed from ours."""

    def __init__(self, folder: Path) -> None:
        run(sys.executable, "-m", "venv", "--without-pip", folder)
        self.folder = folder
        self.bin = folder / "bin"
        (self.site_packages,) = folder.glob("lib/python3*/site-packages")
        for entry in SITE_PACKAGES.iterdir():
            if entry.name == "twisted":  # where a plugin is put, so it needs one of its own
                ignored = shutil.ignore_patterns("dropin.cache", "aprp_plugin*", "__pycache__")
                shutil.copytree(entry, self.site_packages / entry.name, ignore=ignored)
            elif not entry.name.startswith(OURS):
                (self.site_packages / entry.name).symlink_to(entry)
        scripts = (self.bin / "twistd", "from twisted.scripts.twistd import run; run()")
        scripts[0].write_text(f"#!{self.bin / 'python'}\n{scripts[1]}\n")
        scripts[0].chmod(0o755)

    def pip(self, *arguments: str | Path) -> str:
        return pip("--python", self.bin / "python", *arguments)

    def files(self) -> set[str]:
        """All of them, less what Python and Twisted write for themselves as they run."""
        return {
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if path.name != "dropin.cache"
            and not (
                "__pycache__" in path.parts and "aprp" not in str(path.relative_to(self.folder))
            )
        }


class WheelTests(SynchronousTestCase):
    def test_a_wheel_through_its_life(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        built = wheel(folder)
        self.contents(built)
        environment = Environment(folder / "environment")
        self.assertNotIn("aprp", run(environment.bin / "twistd", "--help"))
        before = environment.files()
        environment.pip("install", "--quiet", "--no-deps", "--no-index", built)
        self.works(environment)
        environment.pip("uninstall", "--quiet", "--yes", "aprp")
        self.assertEqual(environment.files() - before, set())
        self.assertNotIn("aprp", run(environment.bin / "twistd", "--help"))

    def contents(self, built: Path) -> None:
        names = set(ZipFile(built).namelist())
        for needed in (
            "twisted/plugins/aprp_plugin.py",
            "aprp/py.typed",
            "aprp/demo/clip.mp4",
            "aprp/demo/page/index.html",
            "aprp/init/sample.yaml",
        ):
            self.assertIn(needed, names)
        tops = {name.split("/")[0] for name in names}
        self.assertEqual(tops, {"aprp", "twisted", f"aprp-{aprp.__version__}.dist-info"})
        self.assertEqual([name for name in names if name.endswith("twisted/__init__.py")], [])

    def works(self, environment: Environment) -> None:
        self.assertIn("aprp", run(environment.bin / "twistd", "--help"))
        self.assertIn("check", run(environment.bin / "aprp", "--help"))
        self.assertIn("check", run(environment.bin / "python", "-m", "aprp", "--help"))
        sample = run(environment.bin / "aprp", "init", "--sample")
        self.assertEqual(sample, (ROOT / "etc/aprp.yaml").read_text())
        daemon = Running(
            self,
            "--demo",
            "--port=0",
            command=(str(environment.bin / "twistd"), "-n", "--pidfile=", "aprp"),
            environ={"PYTHONPATH": ""},
        )
        address = daemon.ready()
        status, _, part = get(address, "/films/clip.mp4", {"Range": "bytes=0-999"})
        self.assertEqual((status, part), (206, demo_files()[CLIP].content[:1000]))
        daemon.stop()


class MetadataTests(SynchronousTestCase):
    def test_what_the_container_is_built_from_is_there(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir(parents=True)
        context(folder)
        self.assertTrue((folder / "twisted/plugins/aprp_plugin.py").exists())
        self.assertTrue((folder / "setup.py").exists())
