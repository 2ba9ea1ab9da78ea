"""An origin of files that change now and then, and that says random things about their caching."""

from __future__ import annotations

import random
from dataclasses import dataclass
from email.utils import formatdate

from tests.support.replies import File, Pairs, Received, Reply

LONG = 200_000
"""Bytes of a file with a strong entity tag."""
SHORT = 1000
_FLAGS = (
    ("no-store", 0.04),
    ("private", 0.06),
    ("no-cache", 0.07),
    ("public", 0.2),
    ("must-revalidate", 0.15),
)
_TIMES = (
    ("max-age", 0.7),
    ("s-maxage", 0.15),
    ("stale-while-revalidate", 0.15),
    ("stale-if-error", 0.2),
)


def content(version: int, size: int) -> bytes:
    """Return bytes, each eight of which tell the version."""
    return (b"%07d\n" % version) * (size // 8)


@dataclass(frozen=True, slots=True)
class Said:
    """What the origin has said in one response, and to whom. Times are Unix times."""

    at: float
    version: int
    control: tuple[str, ...]
    varies: bool
    language: str
    authorized: bool
    age: int
    date: float | None
    expires: float | None

    def seconds(self, name: str) -> int | None:
        """Return the argument of a directive."""
        found = (each.partition("=") for each in self.control)
        return next((int(value) for key, _, value in found if key == name), None)

    def age_at(self, now: float) -> float:
        """RFC 9111 section 4.2.3."""
        apparent = 0.0 if self.date is None else max(0.0, self.at - self.date)
        return max(apparent, self.age) + now - self.at

    def lifetime(self) -> float:
        """RFC 9111 section 4.2.1."""
        for name in ("s-maxage", "max-age"):
            if (said := self.seconds(name)) is not None:
                return said
        if self.expires is None:
            return 0.0
        return max(0.0, self.expires - (self.at if self.date is None else self.date))

    @property
    def never_stale(self) -> bool:
        """Whether it must not be sent stale."""
        return "must-revalidate" in self.control or self.seconds("s-maxage") is not None


class RandomOrigin:
    """Answers by what `draw` says. `now` is its clock; `said` has its responses by X-Said."""

    def __init__(self, draw: random.Random, now: float) -> None:
        self.draw = draw
        self.now = now
        self.fails = False
        """Whether it answers nothing but 503."""
        self.said: dict[str, Said] = {}
        self.invalidated: dict[str, int] = {}
        """How much it had said when a path was last changed by a POST."""
        self._files: dict[tuple[str, str], tuple[int, str, bool]] = {}
        self._versions = 0

    @property
    def current(self) -> set[int]:
        """The versions that it has now."""
        return {version for version, _, _ in self._files.values()}

    def answer(self, received: Received) -> Reply:
        path = received.target.decode()
        if received.method == b"POST":
            self._change(path)
            self.invalidated[path] = len(self.said)
            return Reply(204)
        if self.fails:
            return Reply(503, (), (b"sorry",))
        version, kind, varies = self._file(path, (received.get(b"accept-language") or b"").decode())
        fields = self._say(version, varies, received)
        tags = {"strong": b'"%d"' % version, "weak": b'W/"%d"' % version}
        tag = tags.get(kind)
        if tag is not None and received.get(b"if-none-match") == tag:
            return Reply(304, (*fields, (b"ETag", tag)), framing="none")
        body = content(version, LONG if kind == "strong" else SHORT)
        return File(body, tag, last_modified=None, date=None).reply(received).having(*fields)

    def _change(self, path: str) -> None:
        self._files = {each: file for each, file in self._files.items() if each[0] != path}

    def _file(self, path: str, language: str) -> tuple[int, str, bool]:
        """Return the version, the kind of its validator, and whether there is one by language."""
        draw = self.draw
        if draw.random() < 0.1:
            self._change(path)
        varies = next((file[2] for each, file in self._files.items() if each[0] == path), None)
        if varies is None:
            varies = draw.random() < 0.5
        place = (path, language if varies else "")
        if place not in self._files:
            self._versions += 1
            kind = draw.choice(("strong", "strong", "weak", "none"))
            self._files[place] = self._versions, kind, varies
        return self._files[place]

    def _say(self, version: int, varies: bool, received: Received) -> Pairs:
        """Return the fields of the next response."""
        draw, now, number = self.draw, self.now, str(len(self.said) + 1)
        control = [name for name, chance in _FLAGS if draw.random() < chance]
        timed = [name for name, chance in _TIMES if draw.random() < chance]
        control += [f"{name}={draw.choice((0, 2, 10, 60))}" for name in timed]
        draw.shuffle(control)
        date = draw.choice((None, now, now - 5, now + 5))
        expires = None if draw.random() < 0.5 else now + draw.choice((-9, 0, 10, 60))
        age = draw.choice((0, 0, 0, 3, 30))
        self.said[number] = Said(
            at=now,
            version=version,
            control=tuple(control),
            varies=varies,
            language=(received.get(b"accept-language") or b"").decode(),
            authorized=received.get(b"authorization") is not None,
            age=age,
            date=date,
            expires=expires,
        )
        fields = [
            ("X-Said", number),
            ("Cache-Control", ", ".join(control) or "x"),
            ("Vary", "Accept-Language" if varies else "X-None"),
            ("Age", str(age)),
            ("Set-Cookie", f"said={number}"),
            ("Expires", "0" if expires is None else formatdate(expires, usegmt=True)),
        ]
        if date is not None:
            fields.append(("Date", formatdate(date, usegmt=True)))
        return tuple((name.encode(), value.encode()) for name, value in fields)
