"""Which bytes a transfer fetches for a range: whole pieces, where pieces are verified.

The window then holds at least two of them, so that one is fetched while another is verified.
"""

from __future__ import annotations

from dataclasses import replace

from aprp.core.metalink import Pieces
from aprp.core.recovery.versions import Facts
from aprp.core.scheduling.blocks import EDGE
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.values import dataclass
from aprp.upstream.transfer.options import TransferOptions


@dataclass(frozen=True, slots=True)
class FetchedRange:
    """The bytes [start, stop), the rest of the file where `stop` is None, and how to fetch them.

    `facts` are known beforehand, of a file with `pieces`.
    """

    start: int
    stop: int | None
    scheduling: SchedulingSettings
    pieces: Pieces | None = None
    facts: Facts | None = None

    @property
    def piece(self) -> int | None:
        """The length of a piece."""
        return None if self.pieces is None else self.pieces.length


def fetched_range(options: TransferOptions, start: int, stop: int | None) -> FetchedRange:
    """Return what to fetch for the range [start, stop)."""
    proof, scheduling = options.proof, options.scheduling
    if proof is None or proof.pieces is None or start >= proof.size:
        return FetchedRange(start, stop, scheduling)
    pieces = proof.pieces
    around = pieces.around(start, stop, proof.size)
    window = max(scheduling.window, 2 * pieces.length + EDGE)
    return FetchedRange(*around, replace(scheduling, window=window), pieces, Facts(proof.size))
