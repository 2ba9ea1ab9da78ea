"""Manual pages and completions: current, readable by their programs, and complete."""

from __future__ import annotations

import re
import subprocess

from pydantic import BaseModel
from twisted.trial.unittest import SynchronousTestCase

from aprp.config.routes import KINDS
from aprp.config.settings import Settings
from reference.__main__ import files
from reference.words import Command, aprp
from tests.support.programs import need
from tests.support.running import ROOT

COMPLETE = """
source completions/aprp.bash
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_aprp
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(*words: str) -> list[str]:
    """What bash offers for the last of these words."""
    done = subprocess.run(
        [need("bash"), "-uc", COMPLETE, "bash", "aprp", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "", done.stderr
    return [line for line in done.stdout.split("\n") if line]


def every(command: Command) -> list[Command]:
    return [command, *(each for sub in command.commands for each in every(sub))]


class MadeTests(SynchronousTestCase):
    def test_they_are_current(self) -> None:
        for name, text in files().items():
            self.assertEqual((ROOT / name).read_text(), text, f"{name}: run `make reference`")

    def test_every_setting_has_its_paragraph(self) -> None:
        page = (ROOT / "docs/man/aprp.yaml.5").read_text()
        models: tuple[type[BaseModel], ...] = (Settings, *KINDS.values())
        for model in models:
            for name in model.model_fields:
                self.assertIn(f"\n.B {name}\n", page)
        for name in ("log.max_size", "tls.ca", "sources.url", "limits.connections"):
            self.assertIn(f"\n.B {name}\n", page)

    def test_every_option_is_everywhere(self) -> None:
        made = files()
        for command in every(aprp()):
            for option in command.options:
                for name in option.names:
                    self.assertIn(name, made["completions/aprp.bash"])
                    self.assertIn(name, made["completions/_aprp"])
                    short = not name.startswith("--")
                    flag = f"-s {name[1:]}" if short else f"-l {name[2:]}"
                    self.assertIn(flag, made["completions/aprp.fish"])
                    if name not in ("-h", "--help") and command.name != "aprp":
                        roff = name.replace("-", "\\-")
                        self.assertIn(roff, made["docs/man/aprp.1"] + made["docs/man/aprp.8"])

    def test_nothing_that_the_parsers_do_not_know(self) -> None:
        known = {name for each in every(aprp()) for option in each.options for name in option.names}
        for name in re.findall(r"(?<![\w-])--[a-z-]+", (ROOT / "completions/_aprp").read_text()):
            self.assertIn(name, known)


class ManTests(SynchronousTestCase):
    def test_roff_has_nothing_to_complain_of(self) -> None:
        for path in sorted((ROOT / "docs/man").iterdir()):
            done = subprocess.run(
                [need("groff"), "-man", "-ww", "-Tutf8", str(path)], capture_output=True, check=True
            )
            self.assertEqual(done.stderr, b"", path)


class BashTests(SynchronousTestCase):
    def test_commands(self) -> None:
        self.assertEqual(completed("ch"), ["check"])
        self.assertTrue({"serve", "check", "init", "get", "ctl"} <= set(completed("")))

    def test_options_of_a_command(self) -> None:
        self.assertEqual(completed("get", "--lim"), ["--limit-rate"])
        self.assertEqual(completed("serve", "--up"), ["--upstream"])
        self.assertEqual(completed("check", "--up"), [])

    def test_commands_of_a_command(self) -> None:
        self.assertEqual(completed("ctl", "dr"), ["drain"])
        self.assertEqual(completed("ctl", "cache", "pu"), ["purge"])
        self.assertEqual(completed("ctl", "--json", "cache", "v"), ["verify"])
        self.assertEqual(completed("ctl", "drain", "c"), completed("ctl", "c"))

    def test_values(self) -> None:
        self.assertEqual(completed("get", "--same", ""), ["modified", "length"])
        self.assertEqual(completed("init", "-o", "etc/apr"), ["etc/aprp.yaml"])
        self.assertEqual(completed("init", "--upstream", "etc/apr"), [])

    def test_files(self) -> None:
        self.assertEqual(completed("check", "etc/"), ["etc/aprp.yaml"])
