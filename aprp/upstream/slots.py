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

from aprp.core import messages as m
from aprp.upstream.attempt import end_of
from aprp.upstream.errors import OWN_FAULT, SourceError
from aprp.upstream.hub import Holder, Hub
from aprp.upstream.remote import Remote


class Slots:
    """Those of `holder`. `tell` takes events for the scheduler; `failed` is told which source
    could not be connected to, and why."""

    _log = Logger()

    def __init__(
        self,
        hub: Hub,
        holder: Holder,
        remotes: Mapping[str, Remote],
        tell: Callable[[m.Event], None],
        failed: Callable[[Remote, str], None],
    ) -> None:
        self._hub = hub
        self._holder = holder
        self._remotes = remotes
        self._tell = tell
        self._failed = failed
        self._opening: dict[Deferred[float | None], str] = {}  # for which source
        self._unwanted: set[str] = set()  # of those
        self._closed = False

    def want(self, source: str, urgency: m.Urgency) -> None:
        """One more is wanted, or wanted otherwise."""
        if source in self._opening.values():
            self._unwanted.discard(source)
        else:
            self._hub.want(self._holder, self._remotes[source].source, urgency)

    def withdraw(self, source: str) -> None:
        """None is wanted any longer."""
        if source in self._opening.values():
            self._unwanted.add(source)
        self._hub.withdraw(self._holder, source)

    def granted(self, source: str) -> None:
        """The hub gave one: it's told once a connection is open."""
        if self._closed:
            return
        work = Deferred.fromCoroutine(self._remotes[source].connect())
        self._opening[work] = source
        work.addCallbacks(
            self._connected, self._not_connected, callbackArgs=(work,), errbackArgs=(work,)
        )

    def release(self, source: str, event: m.Event | None = None) -> None:
        """One is free again; the event is told before what follows from that."""
        grants = self._hub.release(self._holder, source)
        if event is not None:
            self._tell(event)
        self._hub.follow(grants)

    def close(self) -> None:
        """The transfer is over: all are free, and what is being opened is left."""
        self._closed = True
        for work in list(self._opening):
            work.cancel()
        self._hub.leave(self._holder)

    def _connected(self, seconds: float | None, work: Deferred[float | None]) -> None:
        self._pass_on(m.Granted(self._opening.pop(work), ready=True, connect=seconds))

    def _not_connected(self, failure: Failure, work: Deferred[float | None]) -> None:
        source, error = self._opening.pop(work), failure.value
        if self._closed:
            return
        if isinstance(error, SourceError) and end_of(error) is not m.End.UNREACHABLE:
            self._pass_on(m.Granted(source))  # the request will meet it, and tell what it means
            return
        self._unwanted.discard(source)
        remote, reason = self._remotes[source], str(error)
        if isinstance(error, SourceError):
            remote.error = error
        else:
            self._log.failure("connecting to {source}", failure, source=source)
            reason = OWN_FAULT
        self._failed(remote, reason)
        self.release(source, m.ConnectFailed(source, reason))

    def _pass_on(self, granted: m.Granted) -> None:
        """Tell of it, if it's still wanted."""
        if self._closed:
            return
        if granted.source in self._unwanted:
            self._unwanted.discard(granted.source)
            self.release(granted.source)
        else:
            self._tell(granted)
