"""A transfer from several sources as the origin of a cached file's missing bytes."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IConsumer

from aprp.core.http.ranges import Range
from aprp.upstream.transfer.failures import TransferFailed
from aprp.upstream.transfer.transfer import Transfer


class TransferOrigin:
    """Delivers bytes by `transfer`. `failed` is called if its sources can't, for whatever reason:
    they may have another version.
    """

    def __init__(self, transfer: Transfer, failed: Callable[[], None]) -> None:
        self.transfer = transfer
        self._failed = failed

    async def deliver(self, wanted: Range, sink: IConsumer) -> None:
        try:
            await self.transfer.send(wanted, sink)
        except TransferFailed:
            self._failed()
            raise

    def end_at(self, stop: int) -> None:
        driver = self.transfer.driver
        if driver is not None:
            driver.end_at(stop)

    def drain(self) -> None:
        driver = self.transfer.driver
        if driver is not None:
            driver.end_at(driver.ready)

    def ready(self) -> int:
        driver = self.transfer.driver
        return 0 if driver is None else driver.ready

    def abort(self) -> None:
        self.transfer.abort()
