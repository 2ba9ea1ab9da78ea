"""The library face for scripts: iterate a `Downloader` for the parts of a file, in order.

The names are those that users of sphttp know. The reactor runs in a thread of its own, started
when it is first needed and once in each process, so that it all works in plain scripts, in any
number of threads, after a fork and in WSGI applications. In a program that runs the reactor
itself, `Downloader` is for other threads than the reactor's; there `open_transfer` serves.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any, Self

from aprp.core.choices import Delay, Duplicate, Redirects, Same
from aprp.core.http.ranges import FromTo
from aprp.core.scheduling.messages import KIB, MIB
from aprp.library.fetch_request import fetch_request
from aprp.library.open_transfer import TransferReader
from aprp.library.reactor_thread import running_reactor, wait_for
from aprp.library.trace_log import Log, TraceLog

LEAST_THRESHOLD = 20


class DelayRequestAlgorithm(Enum):
    """How far ahead a slower source is given its block."""

    ADAPTIVE = Delay.ADAPTIVE
    NORMAL = Delay.NORMAL
    DIFF = Delay.DIFF
    INV = Delay.INV
    STATIC = Delay.STATIC


class DuplicateRequestAlgorithm(Enum):
    """When a late block is asked for a second time."""

    ADAPTIVE = Duplicate.ADAPTIVE
    NIBIB = Duplicate.NIBIB
    IBRC = Duplicate.IBRC


class Downloader:
    """One file from several URLs; nothing is asked before it is iterated, or its length is.

    Args:
        urls: where the file is; copies whose length differs from the first's are left out.
        split_size: bytes of a block for the older algorithms, a hint for ADAPTIVE; taken as the
            nearest from 64 KiB to 8 MiB.
        verify: whether certificates are checked, or a PEM file of those to trust.
        static_delay_req_vals: for STATIC: blocks by URL, 0 for one that isn't there.
        enable_init_delay, init_delay_coef: for DIFF: blocks that a source begins further ahead, for
            each multiple of the least delay by which its own is longer.
        close_bad_conn: for NIBIB and IBRC: use a source no more whose block was late.
        enable_dup_req: False: no block is asked for twice.
        invalid_block_threshold: for NIBIB and IBRC; at least 20. Also by the name
            invalid_block_count_threshold.
        enable_trace_log: keep what `get_trace_log` gives.
        settings: others of a ``sources:`` route, as ``window="8MiB"``.

    Raises:
        ValueError: for what can't be used. While iterating, `TransferFailed`, whose `reasons`
            have (URL, why) for every source; iterated again, it fails again.
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
        self._fetch_request = replace(
            told,
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
        """The file's length in bytes, requested if it isn't known. Raises `TransferFailed`."""
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
        """The parts; closing it, or dropping it, stops the transfer."""
        try:
            yield from self
        finally:
            self.close()

    def close(self) -> None:
        """Stop everything; harmless when repeated."""
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

    def get_trace_log(self) -> tuple[Log, Log, dict[str, float]] | None:
        """What was asked and what came, block by block, and the delay of each URL in seconds.

        An entry is (seconds since the start, number of the block of split_size, host). None
        without enable_trace_log.
        """
        return None if self._trace is None else self._trace.logs()

    def _begun(self) -> TransferReader:
        """The reading, made for this process."""
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
