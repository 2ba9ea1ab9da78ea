"""The slot that a transfer wants at one of its sources."""

from __future__ import annotations

from dataclasses import dataclass

from aprp.core.scheduling.messages import Urgency


@dataclass(slots=True)
class WantedSlot:
    """The slot that a transfer wants at one source; only its own methods change it.

    ``urgency`` is that of the want that waits, None for no want; ``since`` is when it was made.
    Until ``claim_until`` other sources leave this one the block that it is about to fetch.
    ``connected``: an open connection waits to be assigned a block. ``opened_ahead``: a slot was
    wanted before there was anything to fetch (once in a transfer, whatever comes of it).
    """

    urgency: Urgency | None = None
    since: float = 0.0
    claim_until: float = 0.0
    connected: bool = False
    opened_ahead: bool = False

    def claim(self, now: float, until: float) -> None:
        """Begin to want a slot."""
        self.since, self.claim_until = now, until

    def want(self, urgency: Urgency) -> bool:
        """Want a slot, or want it more or less urgently; return whether that changes anything."""
        changed = self.urgency is not urgency
        self.urgency = urgency
        return changed

    def open_ahead(self) -> None:
        """Note that the slot is wanted with nothing to fetch yet."""
        self.opened_ahead = True

    def granted(self, connected: bool) -> bool:
        """Take the granted slot; return whether it was still wanted."""
        self.connected = connected
        return self.urgency is not None

    def settle(self) -> None:
        """End the want: the slot is used, given back, withdrawn or out of reach."""
        self.connected, self.urgency = False, None
