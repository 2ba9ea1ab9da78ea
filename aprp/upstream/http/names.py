"""Look up the addresses of names with the system's own resolver.

The system's own resolver is asked, so that /etc/hosts, search domains and whatever nsswitch.conf
names hold here as everywhere on the machine. It blocks, and can't be stopped; so each lookup has a
thread of its own, away from the reactor's pool, and who waits for it may leave at any time. Names
of the configuration and names that strangers gave have separate bounds: see `LookupQueue`.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from aprp.core.http.lookup_queue import LookupQueue
from aprp.core.reasons import Name
from aprp.upstream.errors import ConnectFailed

Addresses = tuple[str, ...]

OPERATORS = 64
"""Lookups under way for names of the configuration, one for each name at most."""
STRANGERS = 16
"""Lookups under way for names that came from clients or redirects ..."""
PER_STRANGER = 4
"""... and how many of them for one client, or for the redirects of one source."""
KNOWN_FOR = 5.0
"""Seconds for which addresses are used again: the system doesn't say how long they hold."""
FAILED_FOR = 1.0
"""Seconds for which a failure is."""
REMEMBERED = 1024


class Names(Protocol):
    """Something that knows the addresses of names."""

    def lookup(self, host: str, seconds: float, asker: str | None = None) -> Deferred[Addresses]:
        """Return the addresses of a name in the system's order of preference, none of them twice.

        Fails with ConnectFailed where there is none, or none within so many seconds. `asker` is
        who gave the name: a client, or a source by its redirects; None: the configuration.
        Cancelling it leaves at once.
        """
        ...


class SystemNames:
    """The names that the system knows. `resolve` blocks, and raises OSError as getaddrinfo does."""

    def __init__(self, reactor: Any, resolve: Callable[[str], Addresses] | None = None) -> None:
        resolve = resolve or _getaddrinfo
        known = _Known(reactor)
        self._operators = _Lookups(reactor, resolve, LookupQueue(OPERATORS, OPERATORS), known)
        self._strangers = _Lookups(reactor, resolve, LookupQueue(STRANGERS, PER_STRANGER), known)
        self._reactor = reactor

    def lookup(self, host: str, seconds: float, asker: str | None = None) -> Deferred[Addresses]:
        lookups = self._operators if asker is None else self._strangers
        return _in_time(self._reactor, host, seconds, lookups.join(host, asker or ""))


class _Known:
    """Recent results: addresses, or why there are none."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._found: OrderedDict[str, tuple[float, Addresses | OSError]] = OrderedDict()

    def get(self, host: str) -> Addresses | OSError | None:
        until, found = self._found.get(host, (0.0, None))
        return found if self._clock.seconds() < until else None

    def note(self, host: str, found: Addresses | OSError) -> None:
        seconds = FAILED_FOR if isinstance(found, OSError) else KNOWN_FOR
        self._found[host] = (self._clock.seconds() + seconds, found)
        self._found.move_to_end(host)
        if len(self._found) > REMEMBERED:
            self._found.popitem(last=False)


class _Lookups:
    """Lookups with one bound; each that runs has a thread."""

    def __init__(
        self, reactor: Any, resolve: Callable[[str], Addresses], queue: LookupQueue, known: _Known
    ) -> None:
        self._reactor = reactor
        self._resolve = resolve
        self._queue = queue
        self._known = known
        self._waiters: dict[str, list[Deferred[Addresses]]] = {}

    def join(self, host: str, asker: str) -> Deferred[Addresses]:
        """Wait for the lookup of a name, shared by all callers."""
        waiter: Deferred[Addresses] = Deferred(lambda waiter: self._leave(host, asker, waiter))
        known = self._known.get(host)
        if known is not None:
            _tell(waiter, host, known)
            return waiter
        self._waiters.setdefault(host, []).append(waiter)
        self._begin(self._queue.want(host, asker))
        return waiter

    def _leave(self, host: str, asker: str, waiter: Deferred[Addresses]) -> None:
        waiters = self._waiters.get(host, [])
        if waiter in waiters:
            waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(host, None)
        self._queue.leave(host, asker)

    def _begin(self, hosts: list[str]) -> None:
        for host in hosts:
            thread = Thread(target=self._look_up, args=(host,), name="lookup", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the system has no thread left
                self._reactor.callLater(0, self._ended, host, OSError(str(error)))

    def _look_up(self, host: str) -> None:
        """Resolve a name, in its thread."""
        found: Addresses | OSError
        try:
            found = self._resolve(host)
        except OSError as error:
            found = error
        except Exception as error:
            found = OSError(str(error))
        with suppress(RuntimeError):  # the reactor may be gone by now
            self._reactor.callFromThread(self._ended, host, found)

    def _ended(self, host: str, found: Addresses | OSError) -> None:
        self._known.note(host, found)
        self._begin(self._queue.ended(host))
        for waiter in self._waiters.pop(host, []):
            if not waiter.called:  # telling one may make another leave
                _tell(waiter, host, found)


def _getaddrinfo(host: str) -> Addresses:
    """Resolve a name in bytes, since text would be encoded by rules that reject underscores."""
    found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    kinds = (socket.AF_INET, socket.AF_INET6)
    return tuple(dict.fromkeys(str(place[0]) for kind, *_, place in found if kind in kinds))


def _tell(waiter: Deferred[Addresses], host: str, found: Addresses | OSError) -> None:
    nowhere = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
    if isinstance(found, OSError) and found.errno not in nowhere:
        detail = Name(f": {found.strerror or found}")
        text = ": the name can't be looked up"
        waiter.errback(ConnectFailed(host, text, detail, kind="dns_error"))
    elif isinstance(found, OSError) or not found:
        waiter.errback(ConnectFailed(host, ": the name has no address", kind="dns_error"))
    else:
        waiter.callback(found)


def _in_time(
    clock: Any, host: str, seconds: float, waiter: Deferred[Addresses]
) -> Deferred[Addresses]:
    def late(*_: object) -> Failure:
        text = ": the name was not looked up in time"
        return Failure(ConnectFailed(host, text, kind="dns_timeout", timed_out=True))

    if waiter.called:
        return waiter
    return waiter.addTimeout(seconds, clock, late)
