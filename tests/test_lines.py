"""The lines of the benchmarks: what was set up half-way is taken down again."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import lines


class Refused(Exception):
    """What a command ends with here."""


class LineTests(SynchronousTestCase):
    def set_up(self, steps: int) -> list[tuple[str, ...]]:
        """The commands run where so many go well."""
        run: list[tuple[str, ...]] = []

        def command(*words: str) -> None:
            if len(run) == steps:
                run.append(("refused",))
                raise Refused
            run.append(words)

        self.patch(lines, "_run", command)
        folder = Path(self.mktemp())
        self.assertRaises(Refused, lines.Mirror, folder, folder / "m", 1, 1e6, 0.0, shaped=True)
        return run

    def test_whatever_fails_nothing_is_left(self) -> None:
        for steps in range(7):
            run = self.set_up(steps)
            made = [each[3] for each in run if each[:3] == ("ip", "netns", "add")]
            ended = [each[3] for each in run if each[:3] == ("ip", "netns", "del")]
            self.assertEqual((len(made), ended), (min(steps, 1), made), run)
            links = [each[3] for each in run if each[:3] == ("ip", "link", "add")]
            ended = [each[3] for each in run if each[:3] == ("ip", "link", "del")]
            self.assertEqual((len(links), ended), (int(steps > 1), links), run)
