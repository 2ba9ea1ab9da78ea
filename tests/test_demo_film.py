"""The demonstration's film: the clip, padded to a constant rate, and read in any parts."""

from __future__ import annotations

import subprocess
from importlib.resources import files
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aprp.demo.files import CLIP, demo_files
from aprp.demo.film import FRAME, RATE, Film, film_of
from tests.support.programs import need

SECONDS = 2
"""Of the film that are decoded."""


class PiecesTests(SynchronousTestCase):
    def test_any_part_is_that_of_the_whole(self) -> None:
        pieces = [(0, b"abc"), (7, b"de"), (9, b"f"), (20, b"ghi")]
        whole = bytearray(b"\xff" * 23)
        for start, piece in pieces:
            whole[start : start + len(piece)] = piece
        film = Film(pieces)
        self.assertEqual(len(film), len(whole))
        for start in range(25):
            for stop in range(26):
                self.assertEqual(film[start:stop], whole[start:stop], (start, stop))


class FilmTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clip = (files("aprp.demo") / "clip.mp4").read_bytes()
        self.film = film_of(self.clip)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)

    def probed(self, name: str, content: bytes, *command: str) -> list[str]:
        path = self.folder / name
        path.write_bytes(content)
        told = subprocess.run(
            [arg.replace("FILE", str(path)) for arg in command], capture_output=True, text=True
        )
        return told.stdout.splitlines()

    def test_it_needs_its_rate(self) -> None:
        head = self.film[: SECONDS * RATE * 2]
        probe = (need("ffprobe"), "-v", "error", "-of", "csv=p=0")
        seconds = self.probed("head.mp4", head, *probe, "-show_entries", "format=duration", "FILE")
        self.assertApproximates(len(self.film) / float(seconds[0]), RATE, RATE * 0.01)
        shown = ("-select_streams", "v", "-show_entries", "packet=size")
        sizes = self.probed("head.mp4", head, *probe, *shown, "FILE")
        self.assertEqual(set(sizes[: SECONDS * 24]), {str(FRAME)})

    def test_it_shows_what_the_clip_shows(self) -> None:
        decode = (need("ffmpeg"), "-v", "error", "-t", str(SECONDS), "-i", "FILE")
        frames = (*decode, "-f", "framemd5", "-")
        clip = self.probed("clip.mp4", self.clip, *frames)
        film = self.probed("film.mp4", self.film[: SECONDS * RATE * 2], *frames)
        shown = [line.split(", ")[-1] for line in film if not line.startswith("#")]
        self.assertGreater(len(shown), SECONDS * 24)
        self.assertEqual(shown, [line.split(", ")[-1] for line in clip if not line.startswith("#")])

    def test_it_can_start_before_it_is_there(self) -> None:
        self.assertLess(self.clip.index(b"moov"), self.clip.index(b"mdat"))
        self.assertLess(len(self.clip), 4_000_000)

    def test_another_file_is_refused_in_words(self) -> None:
        for other in (b"", b"nothing of the kind", self.clip[:100]):
            error = self.assertRaises(ValueError, film_of, other)
            self.assertIn("the clip has", str(error))

    def test_its_tag_is_the_same_in_each_process(self) -> None:
        first, second = demo_files()[CLIP], demo_files()[CLIP]
        self.assertEqual(first.tag, second.tag)
