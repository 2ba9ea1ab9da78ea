"""The bytes of one response of a `sources:` route: from the cache, or from transfers."""

from __future__ import annotations

from twisted.internet.interfaces import IConsumer

from aprp.cache.cached_file import CachedFile
from aprp.cache.origin import Origin
from aprp.cache.reader import Reader
from aprp.core.http.ranges import Range
from aprp.upstream.transfer.transfer import Transfer
from aprp.web.cached.stored_facts import known_of_file
from aprp.web.cached.transfer import TransferOrigin
from aprp.web.from_cache import FromCache
from aprp.web.multi_source import FileVisit


class SourcesSupply:
    """The bytes for one request, which `visit` describes."""

    def __init__(self, visit: FileVisit) -> None:
        self.file: CachedFile | None = None
        """The file that answers the request, once it is found."""
        self.spare: Transfer | None = None
        """A transfer that has begun, for the first missing bytes."""
        self._visit = visit
        self._taken = FromCache()

    def use(self, file: CachedFile) -> None:
        """Answer with that file."""
        file.use()
        self.file = file
        self._visit.request.from_cache = self._taken

    async def send(self, wanted: Range, sink: IConsumer) -> None:
        assert self.file is not None
        self._taken.begin(wanted.start)
        if wanted.length:
            await Reader(self.file, wanted, sink, self).begin()

    def origin(self) -> Origin:
        assert self.file is not None
        transfer, self.spare = self.spare, None
        if transfer is None:
            transfer = self._visit.transfer(known_of_file(self.file).facts)
        return self.origin_of(transfer, self.file)

    def origin_of(self, transfer: Transfer, file: CachedFile) -> Origin:
        """Have a transfer deliver bytes of the file."""
        self._visit.request.transfer = transfer
        self._taken.transfers.append(transfer)
        return TransferOrigin(transfer, lambda: setattr(file, "doubted", True))

    def read(self, at: int, count: int) -> None:
        self._taken.add(at, count)

    def close(self) -> None:
        """Use the file no more, and record what came from where."""
        if self.file is not None:
            self.file.leave()
            self._note()
        if self.spare is not None:
            self.spare.abort()

    def _note(self) -> None:
        request = self._visit.request
        names: dict[str, int] = {}
        for transfer in self._taken.transfers:
            request.resumes += transfer.resumes
            request.duplicates += transfer.wasted
            for name, count in transfer.received.items():
                names[name] = names.get(name, 0) + count
        request.sources = tuple(names.items())
        request.upstream = ",".join(name for name, count in names.items() if count) or None
        request.cached = self._taken.count
