"""Run ``aprp get``; its exit statuses are EXIT_CODES in `aprp.get.options`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from typing import Any

from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import provider

from aprp.get.fetch import Fetch, reason_of
from aprp.get.naming import CannotWrite, destination
from aprp.get.options import Misunderstood, Options, add_arguments, read
from aprp.get.progress import Bars, Display, Lines, clock, size
from aprp.get.tally import Tally
from aprp.library.open_transfer import shared_by
from aprp.upstream.errors import SourceError

__all__ = ["add_arguments", "run"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(parsed: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    try:
        options = read(parsed)
        path = destination(options.urls, options.output, options.output_dir, options.go_on)
    except Misunderstood as error:
        return _refuse(2, str(error))
    except CannotWrite as error:
        return _refuse(3, str(error))
    from twisted.internet import reactor

    clockwork: Any = reactor
    sources = [location.source.name for location in options.fetch_request.locations]
    tally = Tally(sources, clockwork.seconds, options.plot is not None)
    display = _display(options, tally)
    fetch = Fetch(options, path, tally, display, clockwork)
    _log_to(display)
    status, reason = _to_the_end(fetch, clockwork, display)
    if options.plot is not None:
        reason = _draw(options, fetch, tally) or reason
    if reason:
        print(f"aprp get: {reason}", file=sys.stderr)
    elif not (status or options.quiet):
        print(_sentence(fetch, tally, str(path or "standard output")), file=sys.stderr)
    if options.json:
        summary = _summary(options, fetch, tally, str(path or "-"))
        out = sys.stderr if options.output == "-" else sys.stdout
        print(json.dumps(summary | {"exit": status, "error": reason}), file=out)
    return status


def _to_the_end(fetch: Fetch, reactor: Any, display: Display) -> tuple[int, str | None]:
    """Run the reactor until the fetch ends or a signal arrives. Return status and reason."""
    result: list[object] = []
    caught: list[int] = []

    def begin() -> None:
        work = Deferred.fromCoroutine(fetch.run())

        def interrupt(number: int, _: object) -> None:
            caught.append(number)
            reactor.callFromThread(work.cancel)

        for each in SIGNALS:
            signal.signal(each, interrupt)
        work.addBoth(result.append)
        work.addCallback(lambda _: shared_by(reactor).agent.close())
        work.addCallback(lambda _: reactor.stop())

    before = {each: signal.getsignal(each) for each in SIGNALS}
    reactor.callWhenRunning(begin)
    try:
        reactor.run(installSignalHandlers=False)
    finally:
        display.end()
        for each, handler in before.items():
            signal.signal(each, handler)
    if caught:
        return 128 + caught[0], "interrupted" + ("; resume it with -c" if fetch.kept else "")
    ended = result[0]
    if not isinstance(ended, Failure):
        return 0, None
    assert ended.value is not None
    status, sentence = reason_of(ended.value)
    if status == 1 and not isinstance(ended.value, SourceError):
        ended.printTraceback(sys.stderr)
    return status, sentence


def _display(options: Options, tally: Tally) -> Display:
    console = Console(stderr=True)
    if console.is_terminal and not options.quiet and os.environ.get("TERM") != "dumb":
        return Bars(tally, console)
    return Lines(tally, sys.stderr, options.quiet)


def _log_to(display: Display) -> None:
    """Show the log's warnings, and messages about sources, once each."""
    said: set[str] = set()

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        level = event.get("log_level", LogLevel.info)
        ours = event.get("log_namespace", "").startswith("aprp.upstream.transfer.")
        text = formatEvent(event)
        if (level >= LogLevel.warn or ours) and text not in said:
            said.add(text)
            display.say(text)

    globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False, discardBuffer=True)


def _draw(options: Options, fetch: Fetch, tally: Tally) -> str | None:
    """Write the plot. Return the reason if that failed."""
    assert options.plot is not None
    title = options.urls[0].path.rsplit("/", 1)[-1] or str(options.urls[0])
    try:
        options.plot.write_text(tally.picture(fetch.outcome.complete or 1, title))
    except OSError as error:
        return f"{options.plot} can't be written: {error.strerror}"
    return None


def _sentence(fetch: Fetch, tally: Tally, name: str) -> str:
    seconds = tally.seconds
    said = f"{name}: {size(tally.done)} in {clock(seconds)}, {size(tally.done / seconds)}/s"
    if fetch.outcome.here:
        said += f", {size(fetch.outcome.here)} were here"
    return said + (f", {size(tally.twice)} fetched twice" if tally.twice else "")


def _summary(options: Options, fetch: Fetch, tally: Tally, name: str) -> dict[str, Any]:
    """Return the JSON summary: sizes in bytes, times in seconds, half-open range."""
    outcome, seconds = fetch.outcome, tally.seconds
    return {
        "file": name,
        "complete": outcome.complete,
        "range": None if outcome.range is None else [outcome.range.start, outcome.range.stop],
        "last_modified": outcome.last_modified,
        "here_before": outcome.here,
        "fetched": tally.done,
        "twice": tally.twice,
        "seconds": round(seconds, 3),
        "first_byte": None if tally.first_byte is None else round(tally.first_byte, 3),
        "rate": round(tally.done / seconds) if seconds else 0,
        "checksum": None
        if options.checksum is None
        else {"algorithm": options.checksum.algorithm, "found": outcome.checksum},
        "sources": [
            {
                "source": location.source.name,
                "url": str(location.url),
                "bytes": tally.written[location.source.name],
                "requests": tally.requests[location.source.name],
                "http": tally.spoken.get(location.source.name),
            }
            for location in options.fetch_request.locations
        ],
    }


def _refuse(status: int, text: str) -> int:
    print(f"aprp get: {text}", file=sys.stderr)
    return status
