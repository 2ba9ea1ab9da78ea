"""Blocking downloads for scripts: iterate a `Downloader` for the parts of a file, in order.

The names are those of sphttp. The reactor runs in a background thread, started once per process
when first needed, so `Downloader` works in plain scripts, in any number of threads, after a fork
and in WSGI applications. In a program that runs the reactor itself, use `Downloader` only outside
the reactor's thread, and `open_transfer` inside it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterable, Mapping
from enum import Enum
from typing import Any, Self

from aprp.core.choices import Delay, Duplicate, Redirects, Same
from aprp.core.http.ranges import FromTo
from aprp.core.scheduling.messages import KIB, MIB
from aprp.library.arguments import fetch_request
from aprp.library.open_transfer import TransferReader
from aprp.library.reactor_thread import running_reactor, wait_for
from aprp.library.trace_log import Log, TraceLog

LEAST_THRESHOLD = 20


class DelayRequestAlgorithm(Enum):
    """The algorithm that decides how far ahead a slower source works."""

    ADAPTIVE = Delay.ADAPTIVE
    NORMAL = Delay.NORMAL
    DIFF = Delay.DIFF
    INV = Delay.INV
    STATIC = Delay.STATIC


class DuplicateRequestAlgorithm(Enum):
    """The algorithm that decides when a late block is also requested from another source."""

    ADAPTIVE = Duplicate.ADAPTIVE
    NIBIB = Duplicate.NIBIB
    IBRC = Duplicate.IBRC


class Downloader:
    """An iterator of one file's parts from several URLs.

    The first request is sent when you iterate it or ask for its length.

    Args:
        urls: where the file is; a source whose file has another length than the first is left out.
        split_size: block size in bytes, clamped to 64 KiB to 8 MiB; only a hint for ADAPTIVE.
        verify: whether to verify certificates, or a PEM file of CA certificates to trust.
        static_delay_req_vals: for STATIC: blocks by URL; missing URLs get 0.
        enable_init_delay, init_delay_coef: for DIFF: how many blocks further ahead a source starts
        for
            each multiple of the shortest delay that its own delay is longer.
        close_bad_conn: for NIBIB and IBRC: whether to stop using a source whose block was late.
        enable_dup_req: False disables duplicate requests.
        invalid_block_threshold: for NIBIB and IBRC; at least 20. Alias:
            invalid_block_count_threshold.
        enable_trace_log: record what `get_trace_log` returns.
        settings: other settings of a ``sources:`` route, such as ``window="8MiB"``.

    Raises:
        ValueError: for invalid arguments.
        TransferFailed: while iterating; its `reasons` have (URL, why) for each source. Iterating
            again raises it again.
    """

    def __init__(
        self,
        urls: Iterable[str],
        *,
        split_size: int = 10**6,
        delay_req_algo: DelayRequestAlgorithm = DelayRequestAlgorithm.ADAPTIVE,
        static_delay_req_vals: Mapping[str, int] | None = None,
        enable_dup_req: bool = True,
        dup_req_algo: DuplicateRequestAlgorithm = DuplicateRequestAlgorithm.ADAPTIVE,
        invalid_block_threshold: int = LEAST_THRESHOLD,
        invalid_block_count_threshold: int | None = None,
        enable_init_delay: bool = True,
        init_delay_coef: int = 10,
        close_bad_conn: bool = False,
        verify: bool | str = True,
        enable_trace_log: bool = False,
        **settings: Any,
    ) -> None:
        texts = list(urls) if not isinstance(urls, str | bytes) else urls
        delays = static_delay_req_vals or {}
        chosen: dict[str, Any] = {
            "same": Same.LENGTH,
            "redirects": Redirects.PUBLIC,
            "block_size": min(max(abs(split_size), 64 * KIB), 8 * MIB),
            "delay": DelayRequestAlgorithm(delay_req_algo).value,
            "duplicate": DuplicateRequestAlgorithm(dup_req_algo).value
            if enable_dup_req
            else Duplicate.OFF,
            "duplicate_threshold": max(
                LEAST_THRESHOLD, invalid_block_threshold, invalid_block_count_threshold or 0
            ),
        }
        if isinstance(verify, str | os.PathLike):
            chosen["tls"] = {"ca": os.fspath(verify)}
        told = fetch_request(
            texts,
            verify=bool(verify),
            static_delay=[delays.get(str(url), 0) for url in texts],
            **chosen | settings,
        )
        self._fetch_request = told.scheduled(
            leave_late=close_bad_conn,
            initial_delay=max(1, init_delay_coef) if enable_init_delay else 0,
        )
        self._trace = TraceLog(self._fetch_request, split_size) if enable_trace_log else None
        self._lock = threading.Lock()
        self._reading: TransferReader | None = None
        self._pid = 0
        self._over = False

    @property
    def length(self) -> int:
        """The file's length in bytes, requested if it isn't known yet. Raises `TransferFailed`."""
        with self._lock:
            reading = self._begun()
            wait_for(reading.begin)
            return reading.facts.complete

    def __len__(self) -> int:
        return self.length

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        with self._lock:
            if self._over and (self._reading is None or self._reading.failure is None):
                raise StopIteration
            try:
                part = wait_for(self._begun().read)
            except BaseException:
                self._abort()
                raise
            if not part:
                self.close()
                raise StopIteration
            return part

    def generator(self) -> Generator[bytes, None, None]:
        """Return a generator of the parts. Closing or dropping it stops the transfer."""
        try:
            yield from self
        finally:
            self.close()

    def close(self) -> None:
        """Stop the transfer. Calling it again does nothing."""
        self._over = True
        self._abort()

    def _abort(self) -> None:
        reading = self._reading
        if reading is not None and self._pid == os.getpid():
            running_reactor().callFromThread(reading.abort)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def spoken(self) -> dict[str, str]:
        """The version of HTTP, such as ``HTTP/2``, that each source spoke last, by its name."""
        reading = self._reading
        return {} if reading is None else reading.spoken

    def get_trace_log(self) -> tuple[Log, Log, dict[str, float]] | None:
        """Return the blocks requested, the blocks received, and each URL's delay in seconds.

        An entry is (seconds since the start, number of the block of split_size, host). Return
        None without enable_trace_log.
        """
        return None if self._trace is None else self._trace.logs()

    def _begun(self) -> TransferReader:
        """Return this process's reader, created when first needed."""
        if self._reading is None:
            self._pid = os.getpid()
            self._reading = TransferReader(self._fetch_request, FromTo(0), running_reactor())
            if self._trace is not None:
                self._trace.watch(self._reading.transfer)
        if self._pid != os.getpid():
            raise RuntimeError(
                "this Downloader was started before the fork; create one in the child"
            )
        return self._reading


RequestsDownloader = Downloader
