"""The messages to the scheduler (events) and from it (actions).

Every message is a frozen value. Offsets and sizes are bytes of the file; a range is half-open,
``[start, stop)``; times are float seconds on the caller's one clock. A source is named by a
string, an attempt by a number that is never used twice in one transfer.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from aprp.core.reasons import Reason
from aprp.core.recovery.ends import End as End
from aprp.core.values import dataclass

KIB = 1024
MIB = 1024 * KIB


class Urgency(IntEnum):
    """The priority of a slot; lower numbers are served first."""

    HEAD = 0  # the client waits for these bytes
    AHEAD = 1


class Source(NamedTuple):
    """One place that has the file, as the configuration names it.

    Args:
        name: unique within the transfer, and the key of its rating.
        host: the host that its connections are counted for; several sources may share one.
        connections: how many may be open to the host at once, over the process.
        static_delay: for the policy ``static``: how many blocks further ahead it works.
        file: the name of the file at the source; Retry-After parks only that file.
    """

    name: str
    host: str = ""
    connections: int = 4
    static_delay: int = 0
    file: str = ""

    @property
    def counted_by(self) -> str:
        return self.host or self.name


# Events


@dataclass(frozen=True, slots=True)
class Started:
    """The transfer begins. Sent once, before anything else."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The arbiter granted the slot that WantSlot requested. A slot is good for one attempt.

    What to fetch is decided now. So send this when the connection is open: then the nearest source
    gets the head block, whatever their order. A connection that isn't needed (ReleaseSlot) goes
    to the pool.

    Args:
        source: its name.
        ready: whether a connection is open; otherwise Fetch opens one.
        connect: with ready: seconds it took to open it for this grant; None: it was idle.
    """

    source: str
    ready: bool = False
    connect: float | None = None


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """The connection for a granted slot couldn't be opened, and the slot was given back."""

    source: str
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class HeadCame:
    """A response head was checked and is good: the body that follows is ``[start, stop)``.

    Args:
        attempt: the number that Fetch gave.
        start: first byte of the body; must be the start that Fetch asked for.
        stop: end of the body; may be less than asked (the rest is asked again) or more (a 200:
            the attempt is abandoned when the asked end is reached).
        length: complete length of the file. The caller has compared it with what it knows.
        connect: seconds spent on connecting (and TLS); None on a reused connection.
        connection: what the attempts on one connection have in common (HTTP/2); None: the attempt
            has a connection of its own.
    """

    attempt: int
    start: int
    stop: int
    length: int
    connect: float | None = None
    connection: object | None = None


@dataclass(frozen=True, slots=True)
class BytesCame:
    """The next ``count`` body bytes of the attempt came, in its order."""

    attempt: int
    count: int


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt is over, and so is its slot.

    Args:
        attempt: the number that Fetch gave; unknown and abandoned ones are ignored.
        end: how.
        reason: for logs and responses; Fail has it if the transfer fails.
        retry_after: for REFUSED: seconds for which the source is parked.
        length: for BEYOND: the complete length that the 416 named, if it did.
    """

    attempt: int
    end: End
    reason: Reason | None = None
    retry_after: float | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class ClientTook:
    """The client took the next ``count`` bytes; they need no memory any longer."""

    count: int


@dataclass(frozen=True, slots=True)
class Verified:
    """Every byte before ``stop`` has been verified: the client may take them. Sent only if the file
    has pieces."""

    stop: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The bytes ``[start, stop)`` are wrong: drop them, and request them again."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Banned:
    """The source sent wrong bytes. It is never used again in this transfer, not even if no other
    is left."""

    source: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class OneByOne:
    """``on``: make new requests to one source at a time, until it is switched off. Then what
    arrives next comes from a single source, unless that fails and another takes its place."""

    on: bool


@dataclass(frozen=True, slots=True)
class WindowChanged:
    """Limit what may be in flight or waiting to ``size`` bytes from now on. What is already there
    stays until it is taken; only requests stop.
    """

    size: int


@dataclass(frozen=True, slots=True)
class EndChanged:
    """End the range at ``stop``, if it ends later now. Nothing from there on is requested any more,
    and what is in flight of it is abandoned. ``Done`` follows when the rest has been taken.
    """

    stop: int


@dataclass(frozen=True, slots=True)
class OutOfService:
    """These sources, and no others, are out of service from now on. While others are left, nothing
    more is requested from them; what was requested may still arrive."""

    sources: frozenset[str]


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Report that ``next_deadline()`` is reached and nothing else happened."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The client has left, or the caller gives up: abandon every attempt."""


Event = (
    Started
    | Granted
    | ConnectFailed
    | HeadCame
    | BytesCame
    | Ended
    | ClientTook
    | Verified
    | Lost
    | Banned
    | OneByOne
    | WindowChanged
    | EndChanged
    | OutOfService
    | TimePassed
    | Stopped
)


# Actions


@dataclass(frozen=True, slots=True)
class WantSlot:
    """Request a slot from the arbiter. At most one request per source waits; repeating it only
    changes its urgency."""

    source: str
    urgency: Urgency


@dataclass(frozen=True, slots=True)
class WithdrawWant:
    """Withdraw the waiting request for a slot."""

    source: str


@dataclass(frozen=True, slots=True)
class ReleaseSlot:
    """Give a granted slot back to the arbiter: it isn't needed."""

    source: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """Request ``[start, stop)`` from ``source`` as ``attempt``, on the slot just granted."""

    attempt: int
    source: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Abandon:
    """Stop the attempt now and give its slot back; further events of it are ignored."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Keep:
    """Write ``[start, stop)`` of the bytes that BytesCame reported. Drop those that no Keep names:
    they are held already, or not needed."""

    attempt: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop ``[start, stop)`` from the store: the client has paused for long, or the bytes were
    wrong. They are fetched again when they are needed."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Done:
    """The client has taken every byte of the range. This is the last action."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The transfer has failed, and every attempt was abandoned. This is the last action.

    Args:
        reasons: (source, why) for every source, in the order they were given.
    """

    reasons: tuple[tuple[str, Reason], ...]


Action = WantSlot | WithdrawWant | ReleaseSlot | Fetch | Abandon | Keep | Forget | Done | Fail
