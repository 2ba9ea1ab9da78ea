"""Which stored files an operator's pattern names."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.cache.naming import named_by, names, shown

FILM = b"https://a.example/films/a.mp4\nhttp://films.example.org\n/films/"
OTHER = b"/mirrored/\nb/a.mp4?x=1"


class NamingTests(SynchronousTestCase):
    def test_patterns(self) -> None:
        for pattern, film, other in (
            ("/films/a.mp4", True, False),
            ("films/a.mp4", True, False),
            ("a.mp4", True, False),
            ("ms/a.mp4", False, False),
            ("a.mp4?x=1", False, True),
            ("/a.mp4?x=1", False, True),
            ("/films/*", True, False),
            ("https://a.example/*", True, False),
            ("*", True, True),
            ("/mirrored/", False, True),
            ("a.mp4*", True, True),
            ("A.MP4", False, False),
            ("a?mp4", False, False),
        ):
            found = named_by(pattern)
            self.assertEqual((names(found, FILM), names(found, OTHER)), (film, other), pattern)

    def test_keys_are_one_line(self) -> None:
        self.assertEqual(shown(OTHER), "/mirrored/ b/a.mp4?x=1")
        self.assertEqual(shown(b"caf\xe9\n\xc3\xa9"), "caf\\xe9 \u00e9")
