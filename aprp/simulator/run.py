"""Run simulated transfers to their end: one alone, or several at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from aprp.core.scheduling.ratings import Ratings
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.simulator.mirror import Mirror
from aprp.simulator.network import Network
from aprp.simulator.trace import Trace
from aprp.simulator.transfer import SimulatedTransfer

LIMIT = 3600.0
"""Seconds after which a transfer that hasn't ended is given up."""


class Simulation:
    """A transfer of ``[0, size)``, alone.

    Args:
        mirrors: the sources.
        size: bytes of the file.
        settings: the scheduler's.
        drain: bytes a second that the client takes.
        seed: of everything random.
        ratings: what is known from before; None for nothing.
        know_length: whether the length is known before the first response.
    """

    def __init__(
        self,
        mirrors: Sequence[Mirror],
        size: int,
        settings: SchedulingSettings,
        *,
        drain: float = inf,
        seed: int = 0,
        ratings: Ratings | None = None,
        know_length: bool = False,
    ) -> None:
        self._network = Network(mirrors, seed, ratings)
        self._transfer = SimulatedTransfer(
            self._network, size, settings, drain=drain, know_length=know_length
        )

    def run(self, limit: float = LIMIT) -> Trace:
        """Run until the client has all, or it fails, or ``limit`` seconds have passed.

        Raises:
            AssertionError: the scheduler broke a promise.
        """
        run_together(self._network, [self._transfer], limit)
        return self._transfer.trace


def run_together(
    network: Network, transfers: Sequence[SimulatedTransfer], limit: float = LIMIT
) -> None:
    """Begin transfers at once on one network, and run until all have ended or time is up.

    Raises:
        AssertionError: the scheduler broke a promise.
    """
    network.begin()
    for transfer in transfers:
        transfer.begin()
    network.run(limit)
    for transfer in transfers:
        if transfer.over and transfer.left_behind:
            raise AssertionError(f"attempts left after the end: {transfer.left_behind}")
