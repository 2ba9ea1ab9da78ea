"""`python -m benchmarks.soak [SECONDS]`: a minute against an upstream that breaks; see the tests.

Exits 1 where a body was wrong or something leaked.
"""

from __future__ import annotations

import resource
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from tests.support.soaking import soak


async def main(reactor: Any, seconds: str = "60") -> None:
    outcome = await soak(reactor, float(seconds))
    used = resource.getrusage(resource.RUSAGE_SELF)
    for name, value in (
        ("requests", outcome.requests),
        ("MB", outcome.bytes // 10**6),
        ("responses broken", outcome.broken),
        ("resumes", outcome.resumes),
        ("bodies wrong", len(outcome.wrong)),
        ("leaked", len(outcome.leaked)),
        ("CPU seconds", round(used.ru_utime + used.ru_stime, 1)),
        ("most memory, MiB", used.ru_maxrss // 1024),
    ):
        print(f"{name:>18}  {value:>10}")
    for line in (*outcome.wrong[:10], *outcome.leaked):
        print(line)
    if outcome.wrong or outcome.leaked:
        raise SystemExit(1)


if __name__ == "__main__":
    react(
        lambda reactor, *arguments: Deferred.fromCoroutine(main(reactor, *arguments)), sys.argv[1:]
    )
