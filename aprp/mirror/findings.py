"""What a check found out about each mirror, and the verdict about all of them. Pure.

Two mirrors are in one group if the file has the same length at both and every block that was read
from both has the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from aprp.core.http.urls import Url
from aprp.core.recovery.versions import Facts
from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What one mirror showed. `error` says why it couldn't be compared.

    `blocks` has the sampled bytes by their offset. Times are in seconds, `rate` in bytes a second.
    """

    name: str
    url: Url
    error: str | None = None
    facts: Facts | None = None
    ranges: bool = False
    http: str | None = None
    connect: float | None = None
    latency: float | None = None
    rate: float | None = None
    redirected: Url | None = None
    blocks: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def complete(self) -> int:
        """The length of the file there."""
        return 0 if self.facts is None else self.facts.complete


@dataclass(frozen=True, slots=True)
class Verdict:
    """The groups of mirrors with the same file, the largest first, and those not compared."""

    groups: tuple[tuple[Finding, ...], ...]
    failed: tuple[Finding, ...]

    @property
    def same(self) -> bool:
        """Whether all mirrors were compared and have the same file."""
        return len(self.groups) == 1 and not self.failed

    @property
    def best(self) -> tuple[Finding, ...]:
        """The largest group; empty if no mirror could be compared."""
        return self.groups[0] if self.groups else ()

    @property
    def compared(self) -> int:
        """The number of blocks that all mirrors of the largest group sent."""
        common = [set(each.blocks) for each in self.best]
        return len(set.intersection(*common)) if common else 0


def judged(findings: Sequence[Finding]) -> Verdict:
    """Return the verdict; of groups with equal sizes, that of the earlier mirror is first."""
    groups: list[list[Finding]] = []
    for each in findings:
        if each.error is not None or each.facts is None:
            continue
        for group in groups:
            if not any(differ(each, other) for other in group):
                group.append(each)
                break
        else:
            groups.append([each])
    groups.sort(key=len, reverse=True)
    failed = tuple(each for each in findings if each.error is not None or each.facts is None)
    return Verdict(tuple(map(tuple, groups)), failed)


def differ(one: Finding, other: Finding) -> bool:
    """Return whether the two showed different files."""
    return one.complete != other.complete or first_difference(one, other) is not None


def first_difference(one: Finding, other: Finding) -> int | None:
    """Return the offset of the first byte that differs in the blocks read from both, or None."""
    for start in sorted(one.blocks.keys() & other.blocks.keys()):
        mine, theirs = one.blocks[start], other.blocks[start]
        if mine != theirs:
            pairs = zip(mine, theirs, strict=False)
            same = next((n for n, (a, b) in enumerate(pairs) if a != b), None)
            return start + (min(len(mine), len(theirs)) if same is None else same)
    return None
