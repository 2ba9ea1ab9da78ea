"""The agent for directories on disk: it responds to requests from files, as a server would.

Nothing here waits for the disk: see `aprp.upstream.files.threads`. `aprp.core.http.file_answers`
decides which file a request names, and the response to it.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from typing import Any

from twisted.python.failure import Failure

from aprp.core.http.file_answers import file_answer, file_path, no_such_file
from aprp.core.http.heads import ResponseHead
from aprp.core.http.ranges import Range
from aprp.core.reasons import Name
from aprp.upstream.errors import AnswerTimeout, ConnectFailed, NotPermitted, SourceError
from aprp.upstream.exchange import SourceRequest, Timings
from aprp.upstream.files.file_exchange import FileExchange
from aprp.upstream.files.open_file import Found, OpenFile, open_regular
from aprp.upstream.files.threads import DiskThreads
from aprp.upstream.wall_clock import time


class FileAgent:
    """Responds from the files of all directories, each of which has its own threads."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._threads: dict[str, DiskThreads] = {}
        self._open: set[FileExchange] = set()
        self._files: Counter[str] = Counter()  # descriptors, by directory

    @property
    def open_files(self) -> int:
        """How many are open, or being closed."""
        return self._files.total()

    def in_use(self) -> Counter[str]:
        """How many are open, by directory."""
        return +self._files

    async def open(self, request: SourceRequest) -> FileExchange:
        """Respond to a request; raises a `SourceError`. Cancelling leaves nothing open."""
        directory = request.origin.directory
        assert directory is not None
        asked = self._reactor.seconds()
        path = file_path(request.target)
        found = None if path is None else await self._found(request, directory, path)
        timings = Timings(asked, self._reactor.seconds())
        if path is None or found is None:
            return self._exchange(request, no_such_file(), timings, Range(0, 0), None)
        head, held = file_answer(request.fields, path, found.size, found.modified, int(time()))
        file = OpenFile(found, self._threads[directory], lambda: self._closed(directory))
        held = Range(0, 0) if request.method == b"HEAD" else held
        return self._exchange(request, head, timings, held, file)

    def close(self) -> None:
        """Stop all reads; threads end when the disk has let go of them."""
        for exchange in list(self._open):
            exchange.abort()
        for threads in self._threads.values():
            threads.close()

    async def _found(self, request: SourceRequest, directory: str, path: bytes) -> Found | None:
        threads = self._threads.setdefault(directory, DiskThreads(self._reactor))
        whole = os.path.join(os.fsencode(directory), path)

        def unwanted(found: Found | None) -> None:
            if found is not None:
                os.close(found.descriptor)

        def late(*_: object) -> Failure:
            return Failure(AnswerTimeout(directory, "did not open the file in time"))

        opening = threads.run(lambda: open_regular(whole), unwanted)
        try:
            found: Found | None = await opening.addTimeout(
                request.timeouts.first_byte, self._reactor, late
            )
        except OSError as error:
            raise _not_opened(directory, error) from None
        if found is not None:
            self._files[directory] += 1
        return found

    def _exchange(
        self,
        request: SourceRequest,
        head: ResponseHead,
        timings: Timings,
        held: Range,
        file: OpenFile | None,
    ) -> FileExchange:
        exchange = FileExchange(
            self._reactor, request, head, timings, held, file, self._open.discard
        )
        if file is not None and held.length:
            self._open.add(exchange)
        return exchange

    def _closed(self, directory: str) -> None:
        self._files[directory] -= 1


def _not_opened(directory: str, error: OSError) -> SourceError:
    said = Name(f": {error.strerror or error}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotPermitted(directory, "doesn't let aprp read the file", said, status=403)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        text = ": no file descriptor is left to open the file"
        return ConnectFailed(directory, text, kind="connection_limit_reached")
    return ConnectFailed(directory, "can't be read", said)
