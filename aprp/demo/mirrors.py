"""The mirrors of the demonstration: the same files at different speeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from aprp.demo.files import File
from aprp.demo.line import Line
from aprp.demo.origins import Origin
from aprp.demo.server import Server


class Mirror(Server):
    """One mirror, limited to `rate` bytes per second. Raises OSError."""

    def __init__(
        self, files: Mapping[str, File], rate: float, reactor: Any, sent: Callable[[int], None]
    ) -> None:
        self.line = Line(rate, reactor.seconds, sent)
        super().__init__(Origin(files, self.line, reactor), reactor)


class Mirrors(Service):
    """Mirrors of the same files, one for each rate in bytes a second.

    Connections wait until the service starts. Once all mirrors together have sent `fault_after`
    bytes, the first one is killed and `on_fault` is called.
    Raises OSError.
    """

    _log = Logger()

    def __init__(
        self,
        files: Mapping[str, File],
        rates: Sequence[float],
        reactor: Any,
        fault_after: int | None = None,
        on_fault: Callable[[], None] = lambda: None,
    ) -> None:
        self._fault_in = fault_after
        self._on_fault = on_fault
        self.all = tuple(Mirror(files, rate, reactor, self._sent) for rate in rates)

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs of the mirrors, without a final slash."""
        return tuple(mirror.url for mirror in self.all)

    def startService(self) -> None:
        super().startService()
        for mirror in self.all:
            mirror.start()

    def _sent(self, count: int) -> None:
        if self._fault_in is None:
            return
        self._fault_in -= count
        if self._fault_in <= 0:
            self._fault_in = None
            killed = Deferred.fromCoroutine(self.all[0].kill())
            killed.addErrback(
                lambda failure: self._log.failure("internal error while killing a mirror", failure)
            )
            self._on_fault()

    def stopService(self) -> Deferred[Any]:
        super().stopService()
        return gatherResults([Deferred.fromCoroutine(mirror.kill()) for mirror in self.all])
