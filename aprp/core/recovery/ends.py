"""How an attempt to fetch a range from a source ended."""

from __future__ import annotations

from enum import Enum


class End(Enum):
    """The end of an attempt that the scheduler didn't abandon."""

    COMPLETED = "completed"  # every byte that its response head promised arrived
    BROKEN = "broken"  # the body was cut short, reset or timed out; what arrived is kept
    STALE = "stale"  # a reused connection failed before the response began: not the source's fault
    UNREACHABLE = "unreachable"  # no connection, or no response head in time
    REFUSED = "refused"  # a status that may change: 429, 500, 503; see Ended.retry_after
    ABSENT = "absent"  # not on this source (404, 410), or another version of it
    LIED = "lied"  # another range, too many bytes, a coded or unparseable answer
    BEYOND = "beyond"  # 416: the source's file ends at or before the range; see Ended.length
