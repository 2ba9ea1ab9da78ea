"""The command line of ``aprp mirror``."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from aprp.config.scalars import Count
from aprp.get.options import Misunderstood, header
from aprp.library.arguments import fetch_request
from aprp.library.fetch_request import FetchRequest
from aprp.library.open_transfer import shared_by
from aprp.mirror.examine import examine
from aprp.mirror.findings import Finding, Verdict, judged
from aprp.mirror.text import legend, route, table, verdict_text

SAMPLES = 64
MOST_SAMPLES = 4096
"""Blocks of 16 KiB; they are held in memory until all mirrors are compared."""
WIDTH = 120
"""Columns of the table where standard output isn't a terminal."""

EXIT_CODES = """\
exit status:
  0    all mirrors have the same file, as far as it was compared
  1    they differ, or not all of them could be compared
  2    the command line is invalid
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands of ``aprp mirror`` and their arguments to a parser."""
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, dest="mirror"
    )
    about = "compare the copies of one file on several mirrors"
    check = commands.add_parser(
        "check",
        help=about,
        description=about.capitalize() + ", and print a route for those that agree.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = check.add_argument
    add("urls", nargs="+", metavar="URL", help="a URL of the file; all URLs have the same file")
    add(
        "--samples",
        metavar="NUMBER",
        default=str(SAMPLES),
        help=f"how many blocks of 16 KiB to compare, up to {MOST_SAMPLES}; {SAMPLES} by default",
    )
    add(
        "--header", action="append", default=[], metavar="'NAME: VALUE'", help="add a request field"
    )
    add("--ca", metavar="FILE", help="a PEM file of CA certificates to trust")


def run(parsed: argparse.Namespace) -> int:
    """Run the command and return its exit status: 0 same, 1 different, 2 usage error."""
    try:
        request, count = _read(parsed)
    except Misunderstood as error:
        print(f"aprp mirror check: {error}", file=sys.stderr)
        return 2
    findings = _examined(request, count)
    if findings is None:
        return 130
    verdict = judged(findings)
    report(findings, verdict, sys.stdout)
    return 0 if verdict.same else 1


def report(findings: Sequence[Finding], verdict: Verdict, out: TextIO) -> None:
    """Print the table, the verdict in words, and a route for the mirrors that agree."""
    console = Console(file=out)
    if not console.is_terminal:
        console = Console(file=out, width=WIDTH)
    for line in legend(findings):
        print(line, file=out)
    print(file=out)
    console.print(table(findings), markup=False, highlight=False)
    print(file=out)
    for line in verdict_text(verdict, findings):
        print(line, file=out)
    if yaml := route(verdict):
        print(f"\n{yaml}", end="", file=out)


def _read(parsed: argparse.Namespace) -> tuple[FetchRequest, int]:
    """Return the request and the number of blocks. Raise Misunderstood."""
    settings: dict[str, Any] = {"same": "digest", "redirects": "public"}
    if parsed.header:
        settings["headers"] = dict(header(text) for text in parsed.header)
    if parsed.ca is not None:
        settings["tls"] = {"ca": parsed.ca}
    counted = Count(2, MOST_SAMPLES)
    try:
        count = counted.read(parsed.samples)
        counted.bound(count)
    except ValueError as error:
        raise Misunderstood(f"--samples {error}") from None
    try:
        return fetch_request(parsed.urls, **settings), count
    except ValueError as error:
        raise Misunderstood(str(error)) from None


def _examined(request: FetchRequest, count: int) -> list[Finding] | None:
    """Run the reactor until all mirrors are examined; None if it was interrupted."""
    from twisted.internet import reactor as running

    reactor: Any = running
    result: list[Any] = []

    def begin() -> None:
        shared = shared_by(reactor)
        pick = random.SystemRandom().sample
        work = Deferred.fromCoroutine(examine(shared, request, count, pick))
        work.addBoth(result.append)
        work.addCallback(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if not result:
        return None
    if isinstance(result[0], Failure):
        result[0].raiseException()
    found: list[Finding] = result[0]
    return found
