"""What happens to attempts: they begin, answer, bring bytes, are cut back, abandoned and end.

Rules:
- a byte is kept when it first comes; attempts that cover it too are cut back to what is still
  missing, or abandoned;
- an attempt that reaches an end that was cut back is abandoned there;
- a silent attempt that speaks again keeps what nobody else was asked for;
- what a source showed (rate, latency, failures) is noted as it happens.
"""

from __future__ import annotations

from aprp.core import forecast
from aprp.core import messages as m
from aprp.core.board import Attempt, Board, Place
from aprp.core.messages import Action
from aprp.core.policies import DuplicatePolicy
from aprp.core.rescue import Second
from aprp.core.trouble import Trouble

_SHORTEST, _SILENCE = 0.002, 0.25
"""Seconds between which the time that a chunk took counts in a rate."""


class Traffic:
    """The attempts of one transfer. What has to be done is appended to ``actions``.

    ``length`` is the complete length of the file, None while it isn't known; ``beyond`` tells
    that it turned out to end before the range begins.
    """

    def __init__(
        self, board: Board, duplicate: DuplicatePolicy, trouble: Trouble, length: int | None
    ) -> None:
        self._board = board
        self._duplicate = duplicate
        self._trouble = trouble
        self.length = length
        self.beyond = False
        self.actions: list[Action] = []

    def begin(self, place: Place, picked: Second, now: float, *, warm: bool) -> None:
        """Ask the place for what was picked, and cut back the attempt it takes over from."""
        if picked.first is not None:
            self.cut(picked.first, picked.start, now)
        self._make_room(picked.start, picked.stop)
        self._let_go_of_silent(place, picked, now)
        place.seen = sum(other.blocks for other in self._board.places.values())
        attempt = self._board.begin(place, picked.start, picked.stop, now, warm=warm)
        attempt.second = picked.first is not None
        self.actions.append(m.Fetch(attempt.number, place.name, attempt.start, attempt.stop))

    def _make_room(self, start: int, stop: int) -> None:
        """At most two attempts cover a byte: the oldest silent one goes."""
        board = self._board
        while board.covered(start, stop) > 1:
            over = [a for a in board.attempts.values() if a.at < stop and start < a.stop]
            self.abandon(min(over, key=lambda a: (not a.doubted, a.number)))

    def _let_go_of_silent(self, place: Place, picked: Second, now: float) -> None:
        """A silent attempt whose next byte another source brings would wake up in vain."""
        for other in list(self._board.attempts.values()):
            elsewhere = other.source != place.name
            if other.doubted and elsewhere and picked.start <= other.at < picked.stop:
                self.cut(other, other.at, now)

    def head_came(self, event: m.HeadCame, now: float) -> None:
        """A good response head."""
        attempt = self._board.attempts.get(event.attempt)
        if attempt is None:
            return
        place = self._board.places[attempt.source]
        busy = place.streaming > 0
        if not busy:
            place.chunk_at = None
        attempt.began = attempt.life = now
        attempt.wire_stop = event.stop
        place.rating.answered(now - attempt.since, event.connect, busy=busy)
        if event.connect is not None and attempt.warm:
            place.rating.warm = 0
        self._trouble.answered()
        self._alive(place, attempt, now)
        self._learn_length(event.length, now)
        if attempt.number in self._board.attempts and event.stop < attempt.stop:
            self._board.cut(attempt, max(attempt.at, event.stop))

    def bytes_came(self, event: m.BytesCame, now: float) -> bool:
        """Bytes of a body; whether the client now waits for bytes nobody was asked for."""
        attempt, count = self._board.attempts.get(event.attempt), event.count
        if attempt is None:
            return False
        board, place = self._board, self._board.places[attempt.source]
        ready = board.ready
        fresh = board.receive(attempt, count)
        self._rate(place, attempt, count, now)
        attempt.life = now
        self.actions += [m.Keep(attempt.number, low, high) for low, high in fresh]
        self._alive(place, attempt, now)
        for low, high in fresh:
            place.failures = place.rating.failures = 0
            self._trouble.gained(high - low, whole=not board.missing)
            for other in board.others_over(attempt, low, high):
                self._trim(other, now)
        if attempt.number in board.attempts and attempt.at < attempt.wire_stop:
            self._trim(attempt, now)
        return ready < board.ready and board.unasked.holds(board.ready)

    def _rate(self, place: Place, attempt: Attempt, count: int, now: float) -> None:
        """The first chunk after an idle time may have waited: it only starts the clock, unless
        it's all there is. A silence isn't a rate."""
        since = place.chunk_at
        if since is None and attempt.at >= attempt.wire_stop and attempt.began is not None:
            since = min(attempt.began, now - _SHORTEST)
        if since is not None:
            if now > since:
                place.flowed = max(1, min(place.flows, place.streaming))
            place.rating.came(count, min(now - since, _SILENCE), place.flowed, now)
        place.chunk_at, place.flows = now, place.streaming

    def _alive(self, place: Place, attempt: Attempt, now: float) -> None:
        place.silences = 0
        if attempt.doubted:
            self._board.believe(attempt)
            self._trim(attempt, now)

    def _trim(self, attempt: Attempt, now: float) -> None:
        """Of an attempt, keep no more than is still missing."""
        stop = self._board.trim(attempt)
        if stop < attempt.stop or attempt.at >= attempt.stop:
            self.cut(attempt, stop, now)

    def cut(self, attempt: Attempt, stop: int, now: float) -> None:
        """The attempt ends at ``stop``, or now if it's there already."""
        if stop <= attempt.at:
            if attempt.doubted:
                place = self._board.places[attempt.source]
                self._trouble.fell_silent(place, attempt.number, now)
            self.abandon(attempt)
        else:
            self._board.cut(attempt, stop)
            self.actions.append(m.Shorten(attempt.number, stop))

    def abandon(self, attempt: Attempt) -> None:
        """The attempt is over, and what it owed is anyone's."""
        self._board.vain += forecast.under_way(self._board, attempt)
        self._over_with(attempt)
        self.actions.append(m.Abandon(attempt.number))

    def stop(self) -> None:
        """Abandon every attempt but those that have brought all they were asked for."""
        for attempt in list(self._board.attempts.values()):
            if attempt.began is not None and attempt.at >= attempt.wire_stop:
                self._over_with(attempt)
                self._completed(self._board.places[attempt.source])
            else:
                self.abandon(attempt)

    def _completed(self, place: Place) -> None:
        place.blocks += 1
        place.rating.warm = min(place.rating.warm + 1, place.source.connections)

    def _over_with(self, attempt: Attempt) -> None:
        self._board.end(attempt)
        place = self._board.places[attempt.source]
        if not place.streaming:
            place.chunk_at = None

    def ended(self, event: m.Ended, now: float) -> None:
        """The caller says that the attempt is over."""
        attempt = self._board.attempts.get(event.attempt)
        if attempt is None:
            return
        place = self._board.places[attempt.source]
        self._over_with(attempt)
        match event.end:
            case m.End.COMPLETED:
                self._completed(place)
                self._duplicate.arrived(self._board, self._board.ready >= attempt.stop)
            case m.End.STALE:
                place.rating.warm = 0
            case m.End.BEYOND if event.length is not None and event.length <= attempt.start:
                self._learn_length(event.length, now)
            case _:
                self._trouble.blame(place, event, now)

    def _learn_length(self, length: int, now: float) -> None:
        board = self._board
        if self.length is not None:
            return
        self.length = length
        if length >= board.stop:
            return
        if length <= board.start:
            self.beyond = True
            return
        board.limit(length)
        for attempt in list(board.attempts.values()):
            if attempt.stop > length:
                attempt.stop = length
                self._trim(attempt, now)
