"""The slots of one transfer: requested, granted, connected and given back.

`aprp.core.scheduling.openings` has the rules. A connection that isn't needed any more waits in the
agent's pool. Where none can be opened, the scheduler is sent ConnectFailed and the slot goes back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from aprp.core.reasons import Reason
from aprp.core.scheduling import messages as m
from aprp.core.scheduling.openings import Openings
from aprp.upstream.errors import OWN_FAULT, SourceError
from aprp.upstream.transfer.attempt import end_of
from aprp.upstream.transfer.shared import Holder, SharedResources
from aprp.upstream.transfer.source import TransferSource


class Slots:
    """The slots of `holder`. `tell` takes events for the scheduler; `failed` is told which source
    could not be connected to, and why.
    """

    _log = Logger()

    def __init__(
        self,
        shared: SharedResources,
        holder: Holder,
        sources: Mapping[str, TransferSource],
        tell: Callable[[m.Event], None],
        failed: Callable[[TransferSource, Reason], None],
    ) -> None:
        self._shared = shared
        self._holder = holder
        self._sources = sources
        self._tell = tell
        self._failed = failed
        self._openings = Openings()
        self._connecting: dict[Deferred[float | None], str] = {}  # to which source
        self._closed = False

    def want(self, name: str, urgency: m.Urgency) -> None:
        """Request a slot, or change the urgency of a request."""
        if self._openings.want(name):
            self._shared.want(self._holder, self._sources[name].spec, urgency)

    def withdraw(self, name: str) -> None:
        """Withdraw a request for a slot."""
        self._openings.withdraw(name)
        self._shared.withdraw(self._holder, name)

    def granted(self, name: str) -> None:
        """Open a connection for a granted slot; the scheduler hears of it once it is open."""
        if self._closed:
            return
        if not self._openings.begin(name):
            self.release(name)
            return
        self._shared.make_room(self._sources[name].spec)
        work = Deferred.fromCoroutine(self._sources[name].connect())
        self._connecting[work] = name
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
        for work in list(self._connecting):
            work.cancel()
        self._shared.leave(self._holder)

    def _connected(self, seconds: float | None, work: Deferred[float | None]) -> None:
        self._pass_on(m.Granted(self._connecting.pop(work), ready=True, connect=seconds))

    def _not_connected(self, failure: Failure, work: Deferred[float | None]) -> None:
        name, error = self._connecting.pop(work), failure.value
        if self._closed:
            return
        if isinstance(error, SourceError) and end_of(error) is not m.End.UNREACHABLE:
            self._pass_on(m.Granted(name))  # the request will meet it, and tell what it means
            return
        self._openings.end(name)
        source, reason = self._sources[name], OWN_FAULT
        if isinstance(error, SourceError):
            source.error, reason = error, error.reason
        else:
            self._log.failure(
                "connecting to {source}", failure, source=name, transfer=source.transfer_id
            )
        self._failed(source, reason)
        self.release(name, m.ConnectFailed(name, reason))

    def _pass_on(self, granted: m.Granted) -> None:
        """Hand the slot to the scheduler if it is still wanted, else back to the arbiter."""
        if self._closed:
            return
        if self._openings.end(granted.source):
            self._tell(granted)
        else:
            self.release(granted.source)
