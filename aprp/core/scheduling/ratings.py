"""What the process knows of each source, kept beyond the transfer that learned it.

Rules:
- a rate is decayed bytes over decayed busy time (time constant DECAY), updated with every chunk;
  busy is the time in which a body was coming, so waiting for a response doesn't lower the rate;
  when the last few hundredths of a second say something quite different, they are believed;
- a latency is the time from the request to the response head on a warm connection, with its mean
  deviation (smoothed as in RFC 6298, section 2); the time to connect is kept apart;
- a head that came late while the source was busy with us says nothing about its latency: that
  queue is our own;
- how many connections a source is worth is learned: a further one counts only if the source as a
  whole became faster while it was streaming; where requests can share one, `spreading.py` has
  rules of its own;
- every method takes ``now`` or a duration; times are seconds, sizes bytes, rates bytes a second.
"""

from __future__ import annotations

from collections.abc import Iterator

from aprp.core.recovery.parking import Parking
from aprp.core.scheduling.meter import Meter
from aprp.core.scheduling.spreading import Spreading
from aprp.core.values import dataclass

_QUICK = 0.04  # seconds: time constant of a second measurement, which notices sudden changes
_SUDDEN = 1.8  # how many times more or less it must be to be believed at once

_SWINGS = 0.5  # seconds over which its swings are averaged

_LEARN = 0.06  # seconds of streaming needed before two numbers of connections are compared
_LONGEST_GUESS = 0.5  # seconds of latency guessed from the time to connect, at most
_SETTLED = 1.0  # the same where there's no hurry
_WORTH = 0.5  # of a connection's share: what a further one must add to be used
_FULL = 0.65  # of its share: what it must add for the next try to leap further
_AGAIN = 10.0  # seconds until another connection is tried again; doubles with each failure


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a rating has learnt, for the ratings of other processes; fields as in `Rating`.

    `parked` has the parked files, each with the time until which it is.
    """

    rate: float | None = None
    latency: float | None = None
    deviation: float = 0.0
    connect: float | None = None
    failures: int = 0
    lanes: int = 1
    swing: float = 0.0
    parked: tuple[tuple[str, float], ...] = ()


class Rating:
    """The rating of one source.

    ``latency`` and its mean ``deviation`` are seconds on a warm
    connection, ``connect`` the additional seconds on a cold one; ``warm`` counts the connections
    believed idle in the pool; ``failures`` those in a row; ``parking`` says for which files it is
    left alone; ``lanes`` is how many connections at once make it faster; ``swing`` is the part by
    which the rate deviates, on average, within a few hundredths of a second; ``shares`` says
    whether requests to it share connections.
    """

    def __init__(self) -> None:
        self.latency: float | None = None
        self.deviation = 0.0
        self.connect: float | None = None
        self.warm = 0
        self.failures = 0
        self.parking = Parking()
        self.lanes = 1
        self.swing = 0.0
        self._meter = Meter()
        self._quick = Meter(_QUICK)
        self._held = 0
        self.shares = False
        self._levels: dict[int, Meter] = {}
        self._spreading = Spreading()
        self._try_more_at = 0.0
        self._tries = 0
        self._leap = 2

    @property
    def rate(self) -> float | None:
        """The rate over all ``lanes`` connections, in bytes per second; None if never measured."""
        return self._meter.rate

    @property
    def lane_rate(self) -> float | None:
        """The rate of one of ``lanes`` connections, in bytes per second; None if never measured."""
        rate = self._meter.rate
        return None if rate is None else rate / self.lanes

    def came(self, count: int, seconds: float, connections: int, now: float) -> None:
        """``count`` bytes came over ``connections`` >= 1 within ``seconds``; 0 for more of what
        came at the same moment as the last ones. Bodies that share a connection share its rate,
        and say nothing about a second one."""
        self._levels.setdefault(connections, Meter()).add(count, seconds)
        self._held += count
        if seconds <= 0:
            return
        count, self._held = self._held, 0
        busy = seconds * min(connections, self.lanes) / self.lanes
        self._meter.add(count, busy)
        self._quick.add(count, busy)
        self._notice(busy)
        if self.shares:
            self._spread(count, seconds, connections, now)
        elif connections > self.lanes:
            self._compare(connections, now)
        elif connections == self.lanes > 1:
            self._reconsider()

    def answered(
        self, seconds: float, connect: float | None, *, busy: bool = False, shared: bool = False
    ) -> None:
        """Record a response head that came ``seconds`` after its request, ``connect`` of which
        were spent on connecting (None: the connection was reused); ``busy`` says whether the
        source was sending another body meanwhile, behind which the head may have waited,
        ``shared`` whether requests can share its connection.
        """
        self.shares = shared
        if connect is not None:
            self.connected(connect)
        self.failures = 0
        sample = max(0.0, seconds - (connect or 0.0))
        if self.latency is None:
            self.latency, self.deviation = sample, 0.0
        elif busy and sample > self.latency:
            return
        else:
            self.deviation += (abs(sample - self.latency) - self.deviation) / 4
            self.latency += (sample - self.latency) / 8

    def connected(self, seconds: float) -> None:
        """Note that a connection was opened, and took so long."""
        self.connect = seconds if self.connect is None else (3 * self.connect + seconds) / 4

    def failed(self, now: float, parked: float = 0.0, file: str = "") -> None:
        """Count an attempt that failed through the source's fault.

        The file is left alone for ``parked`` seconds.
        """
        self.failures += 1
        if parked > 0:
            self.parking.park(file, now, parked)

    def delivered(self) -> None:
        """Record that bytes arrived, which ends a series of failures."""
        self.failures = 0

    def connection_left(self, most: int) -> None:
        """Note that a connection went back to the pool, which holds at most ``most``."""
        self.warm = min(self.warm + 1, most)

    def connection_unused(self, *, opened: bool) -> None:
        """Note that an open connection went to the pool without a request on it."""
        self.warm = max(1, self.warm + opened)

    def connection_taken(self) -> None:
        """Note that a request takes a connection out of the pool."""
        self.warm = max(0, self.warm - 1)

    def pool_was_empty(self) -> None:
        """Note that the pool had no live connection after all."""
        self.warm = 0

    def learnt(self) -> Learnt:
        """Return what is known, for another process."""
        return Learnt(
            self._meter.rate,
            self.latency,
            self.deviation,
            self.connect,
            self.failures,
            self.lanes,
            self.swing,
            self.parking.files(),
        )

    def adopt(self, learnt: Learnt) -> None:
        """Take over what another process knows; one's own next measurements soon outweigh it."""
        self.latency, self.deviation = learnt.latency, learnt.deviation
        self.connect, self.failures = learnt.connect, learnt.failures
        self.swing = learnt.swing
        if learnt.lanes != self.lanes:
            self.lanes = learnt.lanes
            self._levels.clear()
            self._spreading = Spreading()
        if learnt.rate is not None:
            self._believe(learnt.rate)
        self.parking.adopt(learnt.parked)

    def first_byte(self, warm: bool) -> float | None:
        """Return the seconds from a request to its first byte; None: never measured.

        Without a better measurement, connecting and requesting take one round trip each.
        """
        if self.latency is None:
            if self.connect is None:
                return None
            guess = min(self.connect, _LONGEST_GUESS)
            return guess if warm else self.connect + guess
        if warm:
            return self.latency
        return self.latency + (self.latency if self.connect is None else self.connect)

    def lanes_to_try(self, most: int, now: float, *, at_once: bool) -> int:
        """How many connections should stream at once to learn whether they make it faster: some
        times as many as do, at most ``most``; ``lanes`` itself when there's nothing to learn
        now."""
        level = self._levels.get(self.lanes)
        enough = _LEARN if at_once else _SETTLED
        if level is None or level.total < enough or now < self._try_more_at:
            return self.lanes
        if self.shares:
            return self._spreading.to_try(self.lanes, most, now)
        return min(self._leap * self.lanes, max(most, self.lanes))

    @property
    def trying(self) -> bool:
        """Whether a trial of more connections, which requests share, has begun."""
        return self.shares and self._spreading.trying

    @property
    def round_trip(self) -> float:
        """Seconds, at most: a head may have been thought about, a handshake may take several."""
        known = [each for each in (self.latency, self.connect) if each is not None]
        return min(known, default=0.0)

    def _spread(self, count: int, seconds: float, connections: int, now: float) -> None:
        """Learn from bytes that came over connections which requests share."""
        trip, before = self.round_trip, self.lanes
        self.lanes = self._spreading.came(count, seconds, connections, before, trip, now)
        if self.lanes > before:
            self._believe(self._spreading.rate)

    def _believe(self, rate: float) -> None:
        """Take a rate for the present one."""
        self._meter.set(rate, _QUICK)
        self._quick.set(rate, _QUICK)

    def _notice(self, seconds: float) -> None:
        """Record how far the last moment was from the usual; take a sudden change of rate over at
        once."""
        usual, quick = self._meter.rate, self._quick.rate
        if usual is None or quick is None or self._quick.total < _QUICK:
            return
        off = abs(quick - usual) / usual
        self.swing += (off - self.swing) * min(1.0, seconds / _SWINGS)
        if not usual / _SUDDEN < quick < usual * _SUDDEN:
            self._meter.set(quick, _QUICK)

    def _compare(self, connections: int, now: float) -> None:
        """Raise ``lanes`` if the source was faster with so many connections."""
        more, these = self._levels.get(connections), self._levels.get(self.lanes)
        if more is None or these is None or min(more.total, these.total) < _LEARN:
            return
        before, after = these.rate or 1.0, more.rate or 0.0
        gain, added = after / before, connections - self.lanes
        if gain > 1 + _WORTH * added / self.lanes:
            before_lanes = self.lanes
            self.lanes = min(connections, max(self.lanes + 1, round(gain * self.lanes)))
            self._believe(after)
            self._tries = 0
            self._leap = 4 if gain > 1 + _FULL * added / before_lanes else 2
        elif now >= self._try_more_at:
            self._tries += 1
            self._try_more_at = now + _AGAIN * 2 ** min(self._tries, 6)
            del self._levels[connections]

    def _reconsider(self) -> None:
        """Lower ``lanes`` if the source was as fast with fewer; overlapping requests show that."""
        these, fewer = self._levels.get(self.lanes), self._levels.get(self.lanes - 1)
        if these is None or fewer is None or min(these.total, fewer.total) < _LEARN * self.lanes:
            return
        if (these.rate or 0.0) < (fewer.rate or 0.0) * (1 + _WORTH / 2 / (self.lanes - 1)):
            del self._levels[self.lanes]
            self.lanes -= 1


REMEMBERED = 4096
"""How many sources to keep ratings of; clients may name any number."""


class Ratings:
    """The ratings of all sources of the process, by the name of the source."""

    def __init__(self) -> None:
        self._ratings: dict[str, Rating] = {}

    def of(self, source: str) -> Rating:
        """Return the rating of a source; a blank one for a new or forgotten source."""
        rating = self._ratings.pop(source) if source in self._ratings else Rating()
        self._ratings[source] = rating
        if len(self._ratings) > REMEMBERED:
            del self._ratings[next(iter(self._ratings))]
        return rating

    def known(self, source: str) -> Rating | None:
        """Return the rating of a known source, without counting as a use of it."""
        return self._ratings.get(source)

    def __iter__(self) -> Iterator[tuple[str, Rating]]:
        """Give (name, rating) of every known source, by name."""
        return iter(sorted(self._ratings.items()))
