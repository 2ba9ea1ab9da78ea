"""In which order which bytes are asked of whom, so that one client gets one range of one file in
order, early and evenly, from sources that differ and change.

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

- WantSlot: ``arbiter.want(transfer, source, urgency)``; when the Grant comes (often at once), send
  Granted. The answer to Granted has either Fetch for that source, or ReleaseSlot.
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
- Shorten needs nothing; Abandon stops an attempt at once. Events of an abandoned attempt that
  were already on their way are ignored.
- When the client (or the transport's buffer, as the caller counts it) took bytes, send
  ClientTook(count). All asking is bounded by it: a client that takes nothing is asked for at most
  the window, so an exchange never has to be paused. There is no event for a pause: taking
  nothing for LET_GO seconds while bytes are ready is one, and then Forget drops most of them.
- ``next_deadline()`` is the time, on the clock of ``now``, at which TimePassed must be sent if
  nothing else happened; None: no need. It is always later than the last ``now``, and may change
  with every ``handle``: arm one timer again after each.
- Done and Fail are the last action. After them, and after Stopped, every event is ignored and
  nothing is in flight. ``failed`` tells a Fail before the first byte from one after it only by
  ``ready``: the caller cuts the client's connection if bytes were sent.

``stop`` may be None (to the end of the file) and ``length`` None (not known yet). Then the first
blocks go out all the same and the first good response head tells; a 416 for a block that lies
beyond the end is Ended(BEYOND, length=...), no fault of the source. ``length`` is known from the
first HeadCame on. A suffix range needs the length first.

Memory: ``settings.window`` is the most that may wait or be in flight; WindowChanged changes it
at any time (see ``buffered`` and ``in_flight`` for what a process-wide limit has to count).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aprp.core.messages import MIB, Action, Event, Source
from aprp.core.ratings import Ratings


@dataclass(frozen=True, slots=True)
class Settings:
    """What the route says.

    Args:
        window: bytes in flight or waiting, at most; not less than 256 KiB.
        block_size: bytes of a block of the older policies; a hint for ``adaptive``.
        delay: adaptive | normal | diff | inv | static.
        duplicate: adaptive | nibib | ibrc | off.
        duplicate_threshold: blocks, for nibib and ibrc.
        resume_for: seconds without progress by a block after which a transfer whose sources all
            fail is given up.
    """

    window: int = 32 * MIB
    block_size: int = MIB
    delay: str = "adaptive"
    duplicate: str = "adaptive"
    duplicate_threshold: int = 20
    resume_for: float = 30.0


class Scheduler:
    """One ordered delivery; see the module for how it's driven.

    Args:
        sources: at least one; the order is the preference among sources never met.
        start: first byte wanted.
        stop: end of the range, or None for the end of the file.
        ratings: shared by the process.
        settings: what the route says.
        length: complete length of the file, if it's known from before.

    Raises:
        ValueError: no sources, two of one name, or an empty range.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        start: int,
        stop: int | None,
        ratings: Ratings,
        settings: Settings | None = None,
        length: int | None = None,
    ) -> None:
        raise NotImplementedError

    def handle(self, now: float, event: Event) -> list[Action]:
        """Take one event at ``now`` and return what has to be done, in order."""
        raise NotImplementedError

    def next_deadline(self) -> float | None:
        """When TimePassed must be sent if nothing else happens before."""
        raise NotImplementedError

    @property
    def taken(self) -> int:
        """Offset of the next byte owed to the client."""
        raise NotImplementedError

    @property
    def ready(self) -> int:
        """Every byte of ``[taken, ready)`` is in the store."""
        raise NotImplementedError

    @property
    def stop(self) -> int | None:
        """End of the range; None while it isn't known."""
        raise NotImplementedError

    @property
    def buffered(self) -> int:
        """Bytes kept and not yet taken."""
        raise NotImplementedError

    @property
    def in_flight(self) -> int:
        """Bytes asked for and not yet here."""
        raise NotImplementedError
