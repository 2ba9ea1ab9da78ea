"""Rules that were broken once, each with a way to take it out: the simulation has to see it.

``python -m tests.simulation --without NAME`` runs seeds without the fix. An entry records a seed
that finds the fault soon, and how its failure begins. A new one is added with its fix.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from aprp.cache.store import chunk_io
from aprp.core.http import redirects
from aprp.core.http.validators import ETag, Validators
from aprp.core.limits import ClientCounts, memory_is_short
from aprp.core.recovery import client_validators, parking, statuses, versions
from aprp.core.scheduling import scheduler, state
from aprp.core.scheduling.failures import FailurePolicy
from aprp.core.scheduling.ratings import Ratings
from aprp.daemon.daemon import Daemon
from aprp.daemon.ports import PortChange, Ports
from aprp.library.open_transfer import TransferReader
from aprp.upstream.exchange import SourceRequest
from aprp.upstream.http import names
from aprp.upstream.transfer.shared import SharedResources
from aprp.web import closing, loops, sinks, sockets
from aprp.web.client_sink import ClientSink
from aprp.web.closing import ClosingChannel
from aprp.web.routes import RouteTree
from aprp.web.site import ProxySite

Patches = Iterator[AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Regression:
    """A fault whose fix can be taken out.

    `seed` finds it; the failure begins with `finds`.
    """

    what: str
    seed: int
    finds: str
    patches: Callable[[], Patches]

    @contextlib.contextmanager
    def without(self) -> Iterator[None]:
        """Take the fix out for as long as this holds."""
        with contextlib.ExitStack() as stack:
            for patch in self.patches():
                stack.enter_context(patch)
            yield


REGRESSIONS: dict[str, Regression] = {}


def _found_by(seed: int, finds: str) -> Callable[[Callable[[], Patches]], Callable[[], Patches]]:
    """Enter a function whose patches take a rule out; its docstring says what happens then."""

    def enter(patches: Callable[[], Patches]) -> Callable[[], Patches]:
        name = patches.__name__.replace("_", "-")
        REGRESSIONS[name] = Regression(patches.__doc__ or "", seed, finds, patches)
        return patches

    return enter


def _for(function: Callable[..., Any], other: Callable[..., Any]) -> Patches:
    """Put `other` in the place of a function of aprp, under each name that it was imported by."""
    for module in [each for name, each in sys.modules.items() if name.startswith("aprp.")]:
        for name in [name for name, value in vars(module).items() if value is function]:
            yield mock.patch.object(module, name, other)


# Two versions in one body


@_found_by(43, "the bytes are of no version")
def combined_without_validator() -> Patches:
    """Blocks of a file without a strong validator are combined."""

    def differ(found: Validators, known: Validators) -> str | None:
        given = found.last_modified is not None and known.last_modified is not None
        return "differs" if given and found.last_modified != known.last_modified else None

    yield from _for(versions.combinable, lambda first, same: True)
    yield from _for(versions._validators_differ, differ)


@_found_by(6, "If-Range joins version")
def tag_by_length() -> Patches:
    """A strong entity tag is made of path and length."""

    def made(path: bytes, facts: versions.Facts, same: object) -> ETag:
        return client_validators._hashed([path, b"%d" % facts.complete], weak=False)

    yield from _for(client_validators._tag_for, made)


@_found_by(10, "the bytes are of no version")
def unproven_continuation() -> Patches:
    """A response that doesn't show the validator continues a body."""
    yield from _for(versions.change, lambda *_: None)


@_found_by(13, "the bytes are of no version")
def redirect_for_good() -> Patches:
    """Every redirect outlives its transfer."""
    yield from _for(redirects.remembered_for, lambda status, fields: redirects.FOREVER)


@_found_by(220, "the bytes are of no version: version 0: it ends as if whole")
def cut_by_fin() -> Patches:
    """The end of the process ends a body of unknown length by FIN."""
    yield from _for(sockets.reset_on_close, lambda transport, on: None)
    yield mock.patch.object(ClosingChannel, "reset_now", lambda channel: None)


@_found_by(37, "a transfer that failed ends cleanly")
def ends_once_failed() -> Patches:
    """A transfer that failed ends cleanly when it is read again."""
    read = TransferReader.read

    async def nothing_more(reader: TransferReader) -> bytes:
        return b"" if reader.failure is not None else await read(reader)

    yield mock.patch.object(TransferReader, "read", nothing_more)


# One client harms others


@_found_by(127, "the client waits for ever")
def lookup_without_deadline() -> Patches:
    """A name lookup may take for ever."""
    yield from _for(names._in_time, lambda clock, host, seconds, waiter: waiter)


@_found_by(104, "the client waits for ever")
def mirror_parked() -> Patches:
    """Retry-After of one file parks the mirror for up to a day."""
    yield mock.patch.object(parking, "SEVERAL", 1)
    yield mock.patch.object(statuses, "LONGEST_WAIT", 86400.0)


@_found_by(132, "in the log: ValueError")
def two_bounds() -> Patches:
    """A Range may name positions past the end that the scheduler gives all files."""
    for module in (state, scheduler):
        yield mock.patch.object(module, "ENDLESS", 1 << 62)


@_found_by(54, "a client is turned away")
def endless_loop() -> Patches:
    """A request that came back is passed on again."""
    yield from _for(loops.refuse_loop, lambda request: None)


# Operating


@_found_by(129, "a client is turned away")
def never_released() -> Patches:
    """Connections of clients that left go on to count."""
    yield mock.patch.object(ClientCounts, "closed", lambda counts, key: None)


@_found_by(545, "700000 bytes come where 100000 a second")
def rate_unlimited() -> Patches:
    """`limit_rate` is ignored."""
    yield from _for(
        sinks.sink_for,
        lambda request, clock, route, bandwidth: ClientSink(request, clock, route.send_timeout),
    )


@_found_by(569, "the film doesn't go on")
def no_drain() -> Patches:
    """Responses in flight have no time when the daemon stops."""

    async def at_once(daemon: Daemon, seconds: float) -> None:
        return None

    yield mock.patch.object(Daemon, "_let_end", at_once)


@_found_by(1953, "stopping takes")
def second_signal() -> Patches:
    """A second signal to stop is ignored."""
    yield mock.patch.object(Daemon, "cut", lambda daemon: None)


@_found_by(1849, "a drained source is asked")
def drained_in_vain() -> Patches:
    """A running transfer still uses a drained source."""
    yield mock.patch.object(FailurePolicy, "take_out", lambda failures, names: None)


@_found_by(305, "the film doesn't go on")
def cut_by_reload() -> Patches:
    """A reload cuts what is under way."""
    change_routes = ProxySite.change_routes

    def cutting(site: ProxySite, tree: RouteTree) -> None:
        change_routes(site, tree)
        for request in tuple(site.in_flight):
            request.cut()

    yield mock.patch.object(ProxySite, "change_routes", cutting)


@_found_by(145, "a reload doesn't keep the rating")
def ratings_forgotten() -> Patches:
    """A reload forgets the ratings of sources that stay."""

    def limit_memory(shared: SharedResources, memory: int) -> None:
        shared.ratings = Ratings()
        shared.budget.limit(memory)

    yield mock.patch.object(SharedResources, "limit_memory", limit_memory)


@_found_by(265, "a refused reload changes something")
def half_a_reload() -> Patches:
    """A refused reload leaves ports open that it opened."""

    async def left(ports: Ports, change: PortChange) -> None:
        ports.listeners = (*ports.listeners, *change.opened)

    yield mock.patch.object(Ports, "undo", left)


@_found_by(161, "request 0-1 is sent 2 times")
def sent_twice() -> Patches:
    """A request with a body is repeated where a kept connection fails."""
    yield mock.patch.object(SourceRequest, "repeatable", property(lambda request: True))


@_found_by(683, "the bytes are of no version")
def unverified() -> Patches:
    """Blocks of the cache aren't compared with their checksums."""
    yield mock.patch.object(chunk_io, "_check", lambda *_: None)


@_found_by(497, "a request is served while memory is short")
def memory_unlimited() -> Patches:
    """Nothing is refused while the process has more memory than it may."""
    yield from _for(memory_is_short, lambda *_: False)


@_found_by(1057, "a client is turned away that is within all limits")
def balancer_counted() -> Patches:
    """Clients behind a balancer are counted as one."""
    yield mock.patch.object(closing, "by_proxy_protocol", lambda transport: False)
