"""One source as one transfer sees it: what its responses have shown so far, and those it holds.

`aprp.upstream.transfer.requests` makes the requests.
"""

from __future__ import annotations

from aprp.core.http.ranges import FromTo, Range, Spec
from aprp.core.reasons import Reason, reason
from aprp.core.recovery.same_file import StandsAlone
from aprp.core.recovery.versions import Facts
from aprp.upstream.errors import SourceError
from aprp.upstream.transfer.body import Body, discard
from aprp.upstream.transfer.options import FileLocation, TransferOptions
from aprp.upstream.transfer.requests import SourceAnswer, SourceRequests
from aprp.upstream.transfer.shared import SharedResources


class TransferSource:
    """One source in one transfer.

    `kept` is a whole response of a source that ignores ranges, paused until the next attempt reads
    on. `alone` is set when a response of the source can only be used by itself; `spare` is that
    response, while it is held in reserve. `error` is that of the last attempt that failed. `beyond`
    is set when the source said that the file ends before the range.
    """

    def __init__(
        self, shared: SharedResources, location: FileLocation, options: TransferOptions
    ) -> None:
        self.name = location.source.name
        self.spec = location.source._replace(file=location.url.target)
        self.ignores_ranges = False
        self.kept: Body | None = None
        self.alone = False
        self.spare: tuple[SourceAnswer, StandsAlone] | None = None
        self.error: SourceError | None = None
        self.beyond = False
        self._shared = shared
        self.url = location.url
        self._options = options
        self.tally = options.tally_of(self.name)
        self.requests = SourceRequests(shared, location, options, self.tally)

    @property
    def on_disk(self) -> bool:
        """Whether it is a directory."""
        return self.url.directory is not None

    @property
    def vouched(self) -> Facts | None:
        """The facts that a server vouches for, if this is a directory; see `vouching`."""
        return self._shared.vouched.facts_of(self.url) if self.on_disk else None

    def another_size(self, complete: int) -> Reason | None:
        """Return why a file of that length isn't used, or None if it may be the right one."""
        proof = self._options.proof
        if proof is None or proof.size == complete:
            return None
        return reason(f"has another file: {complete} bytes, not {proof.size}")

    def no_longer_vouched(self) -> None:
        """Note that the directory has another file than the one that a server vouched for."""
        self._shared.vouched.forget(self.url)

    @property
    def transfer_id(self) -> str:
        """The transfer's id in log lines."""
        return self._options.transfer_id

    async def connect(self) -> float | None:
        """Open a connection for the next request, if none is idle; raises SourceError.

        Returns the seconds that it took, or None if nothing was opened.
        """
        return None if self.kept is not None else await self.requests.connect()

    async def get(self, wanted: Range) -> SourceAnswer:
        """Request a range, with If-Range if the place has shown its version.

        Raises SourceError. The caller judges the head of the response.
        """
        return await self.requests.ask("GET", FromTo(wanted.start, wanted.stop), conditional=True)

    async def get_alone(self, spec: Spec | None) -> SourceAnswer:
        """Request a range, or the whole file, whatever its version."""
        return await self.requests.ask("GET", spec, conditional=False)

    async def head(self) -> SourceAnswer:
        """Request the head alone."""
        return await self.requests.ask("HEAD", None, conditional=False)

    def drop(self, body: Body) -> None:
        """Drop a response. It holds no slot any more, though its end may still be read."""
        body.drop()
        self._shared.remainders.add(self.spec, body)

    def take_kept(self, start: int) -> Body | None:
        """Take the paused whole response, if it still leads to the offset `start`."""
        kept = self.kept
        if kept is None or kept.ended or kept.at > start:
            return None
        self.kept = None
        return kept

    def keep(self, body: Body) -> None:
        """Pause a whole response, to read on when the next range is requested."""
        if self.kept is not None:
            self.drop(self.kept)
        body.wait()
        self.kept = body

    def close(self) -> None:
        """Drop the responses that it holds: the transfer is over."""
        kept, self.kept = self.kept, None
        if kept is not None:
            self.drop(kept)
        self.drop_spare()

    def keep_spare(self, answer: SourceAnswer, found: StandsAlone) -> None:
        """Hold a response in reserve that can only be used by itself."""
        self.drop_spare()
        self.spare = (answer, found)

    def drop_spare(self) -> None:
        """Drop the response that `keep_spare` held."""
        spare, self.spare = self.spare, None
        if spare is not None:
            discard(spare[0].exchange)
