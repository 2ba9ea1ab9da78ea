"""Run ``aprp get``; its exit statuses are EXIT_CODES in `aprp.get.options`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import provider

from aprp.core.metalink import BadMetalink
from aprp.get.fetch import Fetch, reason_of
from aprp.get.listing import Listing, listing_of
from aprp.get.naming import CannotWrite, destination
from aprp.get.options import Misunderstood, Options, add_arguments, read
from aprp.get.progress import Display, Lines, clock, size
from aprp.get.tally import Tally
from aprp.library.open_transfer import shared_by
from aprp.upstream.errors import SourceError

__all__ = ["add_arguments", "run"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(parsed: argparse.Namespace) -> int:
    """Run the command and return its exit status."""
    try:
        asked = listing_of(parsed) or read(parsed)
    except Misunderstood as error:
        return _refuse(2, str(error))
    from twisted.internet import reactor

    return _Run(asked, reactor).to_the_end()


class _Run:
    """One run of the command: one file, or those of a Metalink one after the other."""

    def __init__(self, asked: Options | Listing, reactor: Any) -> None:
        self._asked = asked
        self._reactor = reactor
        self._display: Display | None = None
        self._fetch: Fetch | None = None
        self._caught: list[int] = []
        self._status = 0

    def to_the_end(self) -> int:
        """Run the reactor until all is done or a signal arrives. Return the exit status."""
        reactor, ended = self._reactor, list[object]()

        def begin() -> None:
            work = Deferred.fromCoroutine(self._all())

            def interrupt(number: int, _: object) -> None:
                self._caught.append(number)
                reactor.callFromThread(work.cancel)

            for each in SIGNALS:
                signal.signal(each, interrupt)
            work.addBoth(ended.append)
            work.addCallback(lambda _: shared_by(reactor).agent.close())
            work.addCallback(lambda _: reactor.stop())

        before = {each: signal.getsignal(each) for each in SIGNALS}
        reactor.callWhenRunning(begin)
        _log_to(self._say)
        try:
            reactor.run(installSignalHandlers=False)
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
        if isinstance(ended[0], Failure):
            status, reason = self._reason(ended[0])
            return _refuse(status, str(reason))
        return self._status

    async def _all(self) -> None:
        """Download everything; the status is that of the first file that failed."""
        if isinstance(self._asked, Options):
            await self._one(self._asked)
            return
        for options in await self._asked.files(self._reactor):
            await self._one(options)
            if self._caught:
                break

    async def _one(self, options: Options) -> None:
        listed = options.listed
        try:
            path = destination(
                options.urls,
                options.output,
                options.output_dir,
                options.go_on,
                None if listed is None else listed.name,
            )
        except CannotWrite as error:
            self._status = self._status or _refuse(3, str(error))
            return
        names = [location.source.name for location in options.fetch_request.locations]
        tally = Tally(names, self._reactor.seconds, options.plot is not None)
        display = self._display = _display(options, tally)
        fetch = self._fetch = Fetch(options, path, tally, display, self._reactor)
        status, reason = 0, None
        try:
            await fetch.run()
        except (Exception, CancelledError):
            status, reason = self._reason(Failure())
        finally:
            display.end()
            self._display = None
        self._status = self._status or status
        _tell(fetch.options, fetch, tally, status, reason)

    def _reason(self, failure: Failure) -> tuple[int, str | None]:
        """Return the status and the reason for what ended a download."""
        kept = self._fetch is not None and self._fetch.kept
        if self._caught:
            return 128 + self._caught[0], "interrupted" + ("; resume it with -c" if kept else "")
        assert failure.value is not None
        status, sentence = reason_of(failure.value)
        if status == 1 and not isinstance(failure.value, SourceError | BadMetalink):
            failure.printTraceback(sys.stderr)
        return status, sentence

    def _say(self, text: str) -> None:
        if self._display is None:
            print(text, file=sys.stderr)
        else:
            self._display.say(text)


def _tell(options: Options, fetch: Fetch, tally: Tally, status: int, reason: str | None) -> None:
    """Print how one download ended, and draw its plot."""
    if options.plot is not None:
        reason = _draw(options, fetch, tally) or reason
    if reason:
        print(f"aprp get: {reason}", file=sys.stderr)
    elif not (status or options.quiet):
        print(_sentence(fetch, tally, fetch.name), file=sys.stderr)
    if options.json:
        name = "-" if fetch.path is None else str(fetch.path)
        summary = _summary(options, fetch, tally, name)
        out = sys.stderr if options.output == "-" else sys.stdout
        print(json.dumps(summary | {"exit": status, "error": reason}), file=out)


def _display(options: Options, tally: Tally) -> Display:
    if sys.stderr.isatty() and not options.quiet and os.environ.get("TERM") != "dumb":
        from rich.console import Console  # takes long to load

        from aprp.get.bars import Bars

        return Bars(tally, Console(stderr=True))
    return Lines(tally, sys.stderr, options.quiet)


def _log_to(say: Callable[[str], None]) -> None:
    """Show the log's warnings, and messages about sources, once each."""
    said: set[str] = set()

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        level = event.get("log_level", LogLevel.info)
        ours = event.get("log_namespace", "").startswith("aprp.upstream.transfer.")
        text = formatEvent(event)
        if (level >= LogLevel.warn or ours) and text not in said:
            said.add(text)
            say(text)

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
