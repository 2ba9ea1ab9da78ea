"""Decides which bytes are requested from which source, and when, so that one client gets one range
of one file in order, early and evenly, from sources that differ and change.

Pure: events in, actions out; it reads no clock and holds no body bytes.

Driving the scheduler
=====================

One Scheduler serves one ordered delivery of one range ``[start, stop)``. The caller owns the
sockets, the store and the arbiter; Ratings are shared by all transfers of the process::

    scheduler = Scheduler(sources, start, stop, ratings, settings, length=None)
    actions = scheduler.handle(now, Started())

Every ``handle`` returns actions, to be done in their order, at once. The caller never calls
``handle`` from within the doing of an action: it queues what follows (a grant, say) as the next
event, with the same ``now`` or a later one.

- WantSlot: ``arbiter.want(transfer, source, urgency)``. When the Grant comes (often at once), open
  a connection if the pool has none idle, then send Granted(source, ready=True, connect=seconds or
  None); or ConnectFailed, with the slot given back. (A caller that can't open connections apart
  from requests sends Granted(source) at once; it works the same, but the first byte may come
  later than the nearest source would have it.) The answer to Granted has either Fetch for that
  source, or ReleaseSlot; then the connection is left idle in the pool. While a connection is
  being opened for a grant, WantSlot and WithdrawWant for its source only say whether it's still
  wanted when it is open; if not, it goes to the pool and the slot back, and no Granted is sent.
- Fetch: open ``bytes=start-(stop - 1)`` from the source. A slot carries one attempt. When the
  attempt is over, by Ended from the caller or by Abandon from here, the caller returns the slot
  to the arbiter (before it sends Ended; what the arbiter grants is sent on as Granted events
  after it).
- When the response head has come and was checked (status, coding, Content-Range, validator,
  length), send HeadCame. A head that fails the check is Ended(LIED), a refusing one
  Ended(REFUSED or ABSENT), none at all Ended(UNREACHABLE), or Ended(STALE) where a reused
  connection was closed before its first byte.
- For every chunk of the body, send BytesCame(attempt, count) and hold the chunk until ``handle``
  returns. The chunk lies at ``[at, at + count)``, where ``at`` is the attempt's start plus all
  that came before. Write the parts that Keep names, drop the rest: two attempts may cover the
  same bytes, and each byte is kept once. Then ``[taken, ready)`` is what can be given to the
  client, in order; ``ready`` grows while the head block is still coming.
- After the last byte that the head promised, send Ended(COMPLETED); if fewer came,
  Ended(BROKEN); if more, keep none of the surplus and send Ended(LIED).
- Abandon stops an attempt at once. It also comes when an attempt reaches the point where another
  one has taken over the rest of its block. Events of an abandoned attempt that
  were already on their way are ignored.
- When the client (or the transport's buffer, as the caller counts it) took bytes, send
  ClientTook(count). It bounds every request: for a client that takes nothing, at most the window is
  requested, so an exchange never has to be paused. There is no event for a pause: taking
  nothing for DROP_AFTER seconds while bytes are ready is one, and then Forget drops most of them.
- ``next_deadline()`` is the time, on the clock of ``now``, at which TimePassed must be sent if
  nothing else happened; None: no need. It is always later than the last ``now``, and may change
  with every ``handle``: arm one timer again after each.
- Done and Fail are the last action. After them, and after Stopped, every event is ignored and
  nothing is in flight (an attempt that has brought all its bytes isn't abandoned; it ends by
  itself). After Fail the caller answers 502 if the client was sent nothing yet, else it cuts the
  client's connection.

``stop`` may be None (to the end of the file) and ``length`` None (not known yet). Then the first
blocks go out all the same and the first good response head tells; a 416 for a block that lies
beyond the end is Ended(BEYOND, length=...), no fault of the source. ``length`` is known from the
first HeadCame on. A suffix range needs the length first.

With ``piece``, the bytes of the file are verified in pieces of that length, counted from offset 0.
The range begins and ends at edges of pieces, or at the end of the file. What is ready can be given
to the client only once Verified says so; then it is ``[taken, deliverable)``. Lost puts wrong bytes
back, and Banned ends the use of a source that sent them. The window is never smaller than a piece.

Memory: ``settings.window`` is the most that may wait or be in flight; WindowChanged changes it
at any time (see ``buffered`` and ``in_flight`` for what a process-wide limit has to count).
"""

from __future__ import annotations

from collections.abc import Sequence

from aprp.core.choices import Duplicate
from aprp.core.reasons import reason
from aprp.core.scheduling import forecast
from aprp.core.scheduling import messages as m
from aprp.core.scheduling.attempts import AttemptTracker
from aprp.core.scheduling.failures import FailurePolicy
from aprp.core.scheduling.messages import Action, Event, Source
from aprp.core.scheduling.planner import Planner
from aprp.core.scheduling.policies.registry import DELAYS, DUPLICATES
from aprp.core.scheduling.ratings import Ratings
from aprp.core.scheduling.read_ahead import ReadAhead
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.scheduling.source_state import SourceState
from aprp.core.scheduling.state import ENDLESS, TransferState

_BEYOND = reason(": the file ends before the range")
_LATE = reason("was late with its block")


class Scheduler:
    """One ordered delivery; see the module for how it's driven.

    Args:
        sources: at least one; the order is the preference among sources never met.
        start: first byte wanted.
        stop: end of the range, or None for the end of the file.
        ratings: shared by the process.
        settings: what the route says.
        length: complete length of the file, if it's known from before.
        piece: bytes of a piece, if pieces are verified before the client gets them.

    Raises:
        ValueError: no sources, two of one name, or an empty range.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        start: int,
        stop: int | None,
        ratings: Ratings,
        settings: SchedulingSettings | None = None,
        length: int | None = None,
        piece: int | None = None,
    ) -> None:
        settings = settings or SchedulingSettings()
        end = min(ENDLESS if stop is None else stop, ENDLESS if length is None else length)
        if not 0 <= start < end:
            raise ValueError(f"the range [{start}, {end}) holds no byte to fetch")
        if not sources or len({source.name for source in sources}) < len(sources):
            raise ValueError("a transfer needs at least one source, and each under its own name")
        self._sources = [SourceState(s, ratings.of(s.name), n) for n, s in enumerate(sources)]
        self._state = TransferState(self._sources, start, end, piece)
        by_count = settings.duplicate in (Duplicate.NIBIB, Duplicate.IBRC)
        self._leave_late = settings.leave_late and by_count
        duplicate = DUPLICATES[settings.duplicate](settings)
        delay = DELAYS[settings.delay](settings)
        used = min(len(sources), settings.at_once or len(sources))
        self._read_ahead = ReadAhead(settings.window, used, piece or 0, sparing=settings.sparing)
        self._failures = FailurePolicy(self._sources, settings.resume_for, settings.at_once)
        self._tracker = AttemptTracker(self._state, delay, duplicate, self._failures, length)
        self._planner = Planner(
            self._state, self._tracker, self._failures, self._read_ahead, delay, duplicate
        )
        self._over = False

    def handle(self, now: float, event: Event) -> list[Action]:
        """Take one event at ``now`` and return what has to be done, in order."""
        if self._over:
            return [m.ReleaseSlot(event.source)] if isinstance(event, m.Granted) else []
        self._tracker.clear_actions()
        self._planner.decline(None)
        worth_it = self._take(now, event)
        if self._tracker.beyond and not self._over:
            self._finish(m.Fail(tuple((source.name, _BEYOND) for source in self._sources)))
        if worth_it and not self._over and not self._planner.rests(now):
            self._plan(now)
        return self._tracker.actions

    def next_deadline(self) -> float | None:
        """Return when TimePassed must be sent if nothing else happens before."""
        return None if self._over else self._planner.wake

    def lanes(self, source: str, now: float) -> int:
        """Return how many connections the next request to the source may be spread over, where
        requests share connections: as many as make it faster, or as are being tried."""
        return forecast.spread(self._state, self._state.sources[source], now)

    @property
    def taken(self) -> int:
        """Offset of the next byte owed to the client."""
        return self._state.taken

    @property
    def ready(self) -> int:
        """The offset up to which every byte from ``taken`` on is in the store."""
        return self._state.ready

    @property
    def deliverable(self) -> int:
        """The offset up to which the client may have the bytes from ``taken`` on."""
        return self._state.deliverable

    @property
    def stop(self) -> int | None:
        """End of the range; None while it isn't known."""
        return self._state.stop if self._state.known else None

    @property
    def length(self) -> int | None:
        """Complete length of the file; None while it isn't known."""
        return self._tracker.length

    @property
    def buffered(self) -> int:
        """The number of bytes kept and not yet taken."""
        return self._state.buffered()

    @property
    def in_flight(self) -> int:
        """The number of bytes requested and not received yet."""
        return self._state.in_flight()

    @property
    def window(self) -> int:
        """The number of bytes that may be in flight or waiting now, as the client's rate allows."""
        return self._state.window or self._read_ahead.window(0.0, 0.0)

    def _take(self, now: float, event: Event) -> bool:
        """Take in what happened; return whether to plan again."""
        match event:
            case m.BytesCame():
                urgent = self._tracker.bytes_came(event, now)
                self._offer(now)
                return self._planner.is_time(now) or urgent
            case m.ClientTook(count):
                self._client_took(count, now)
                return self._planner.is_time(now)
            case m.Granted():
                self._granted(event, now)
            case m.ConnectFailed(name, why):
                source = self._state.sources[name]
                source.slot.settle()
                self._failures.blame(source, m.Ended(0, m.End.UNREACHABLE, why), now)
            case m.HeadCame():
                self._tracker.head_came(event, now)
            case m.Ended():
                self._tracker.ended(event, now)
            case m.Started():
                self._failures.remember(now)
            case m.Verified(stop):
                self._state.verify(stop)
                self._offer(now)
                return self._planner.is_time(now)
            case m.Lost(start, stop):
                self._tracker.lose(start, stop)
            case m.Banned(name, why):
                self._tracker.ban(self._state.sources[name], why)
            case m.OneByOne(on):
                self._failures.one_by_one(on, now)
            case m.WindowChanged(size):
                self._read_ahead.resize(size)
            case m.EndChanged(stop):
                self._end_at(stop, now)
            case m.OutOfService(names):
                self._failures.take_out(names)
            case m.Stopped():
                self._finish(None)
            case m.TimePassed():
                pass
        return True

    def _offer(self, now: float) -> None:
        """Note it if there are bytes for the client to take."""
        if self._state.deliverable > self._state.taken:
            self._read_ahead.offered(now)

    def _granted(self, event: m.Granted, now: float) -> None:
        source = self._state.sources[event.source]
        if event.connect is not None:
            source.rating.connected(event.connect)
        wanted = source.slot.granted(event.ready)
        assignment = self._planner.assign(source, now) if wanted else None
        source.slot.settle()
        if assignment is None:
            if event.ready:
                source.rating.connection_unused(opened=event.connect is not None)
            self._tracker.actions.append(m.ReleaseSlot(source.name))
            self._planner.decline(source)
            return
        warm = self._count_connection(source, event)
        late = self._state.head if self._leave_late else None
        if late is not None and late.at <= assignment.start < late.stop:
            self._failures.leave_out(late.source, _LATE)
        self._tracker.begin(source, assignment, now, warm=warm)

    def _count_connection(self, source: SourceState, event: m.Granted) -> bool:
        """Whether the attempt will find its connection open; the pool has one idle less."""
        if event.connect is not None:
            return True
        warm = event.ready or source.rating.warm > 0
        source.rating.connection_taken()
        return warm

    def _client_took(self, count: int, now: float) -> None:
        state = self._state
        state.take(count)
        self._read_ahead.took(count, now, more=state.deliverable > state.taken)
        if state.taken == state.stop:
            self._finish(m.Done())

    def _end_at(self, stop: int, now: float) -> None:
        state = self._state
        if stop <= state.taken:
            self._finish(m.Done())
        elif stop < state.stop:
            self._tracker.end_at(stop, now)

    def _plan(self, now: float) -> None:
        self._planner.look(now)
        if self._failures.hopeless(now, bool(self._state.attempts)):
            self._finish(m.Fail(self._failures.reasons()))
        else:
            self._planner.plan(now)

    def _finish(self, last: Action | None) -> None:
        self._tracker.stop()
        self._planner.withdraw()
        self._over = True
        if last is not None:
            self._tracker.actions.append(last)
