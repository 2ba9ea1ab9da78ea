"""The slots of one transfer: wanted, granted, given back, and each granted one connected.

A slot is only passed on to the scheduler when a connection is open where its request will go, so
that what is asked on it is decided as late as can be. While one is being opened, the scheduler may
change its mind; if the slot isn't wanted any longer, the connection waits in the agent's pool for
whoever needs it next. What could not be connected to is told, and the slot is free again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aprp.core.scheduling import messages as m
from aprp.upstream.errors import OWN_FAULT, SourceError
from aprp.upstream.transfer.attempt import end_of
from aprp.upstream.transfer.shared import Holder, SharedResources
from aprp.upstream.transfer.source import TransferSource


class Slots:
    """Those of `holder`. `tell` takes events for the scheduler; `failed` is told which source
    could not be connected to, and why."""

    _log = Logger()

    def __init__(
        self,
        shared: SharedResources,
        holder: Holder,
        sources: Mapping[str, TransferSource],
        tell: Callable[[m.Event], None],
        failed: Callable[[TransferSource, str], None],
    ) -> None:
        self._shared = shared
        self._holder = holder
        self._sources = sources
        self._tell = tell
        self._failed = failed
        self._opening: dict[Deferred[float | None], str] = {}  # for which source
        self._unwanted: set[str] = set()  # of those
        self._closed = False

    def want(self, name: str, urgency: m.Urgency) -> None:
        """One more is wanted, or wanted otherwise."""
        if name in self._opening.values():
            self._unwanted.discard(name)
        else:
            self._shared.want(self._holder, self._sources[name].spec, urgency)

    def withdraw(self, name: str) -> None:
        """None is wanted any longer."""
        if name in self._opening.values():
            self._unwanted.add(name)
        self._shared.withdraw(self._holder, name)

    def granted(self, name: str) -> None:
        """The arbiter granted one: it's told once a connection is open."""
        if self._closed:
            return
        work = Deferred.fromCoroutine(self._sources[name].connect())
        self._opening[work] = name
        work.addCallbacks(
            self._connected, self._not_connected, callbackArgs=(work,), errbackArgs=(work,)
        )

    def release(self, name: str, event: m.Event | None = None) -> None:
        """One is free again; the event is told before what follows from that."""
        grants = self._shared.release(self._holder, name)
        if event is not None:
            self._tell(event)
        self._shared.follow(grants)

    def close(self) -> None:
        """The transfer is over: all are free, and what is being opened is left."""
        self._closed = True
        for work in list(self._opening):
            work.cancel()
        self._shared.leave(self._holder)

    def _connected(self, seconds: float | None, work: Deferred[float | None]) -> None:
        self._pass_on(m.Granted(self._opening.pop(work), ready=True, connect=seconds))

    def _not_connected(self, failure: Failure, work: Deferred[float | None]) -> None:
        name, error = self._opening.pop(work), failure.value
        if self._closed:
            return
        if isinstance(error, SourceError) and end_of(error) is not m.End.UNREACHABLE:
            self._pass_on(m.Granted(name))  # the request will meet it, and tell what it means
            return
        self._unwanted.discard(name)
        source, reason = self._sources[name], str(error)
        if isinstance(error, SourceError):
            source.error = error
        else:
            self._log.failure("connecting to {source}", failure, source=name)
            reason = OWN_FAULT
        self._failed(source, reason)
        self.release(name, m.ConnectFailed(name, reason))

    def _pass_on(self, granted: m.Granted) -> None:
        """Tell of it, if it's still wanted."""
        if self._closed:
            return
        if granted.source in self._unwanted:
            self._unwanted.discard(granted.source)
            self.release(granted.source)
        else:
            self._tell(granted)
