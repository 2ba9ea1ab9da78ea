"""One source as one transfer sees it: how it is asked, and what it has shown so far.

Redirects are followed as the route allows. Where one led is remembered for all transfers, and
looked up anew as soon as the place refuses.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.web.iweb import IResponse

import aprp
from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.ranges import FromTo, Range
from aprp.core.http.redirects import MOST_HOPS, redirected, same_place
from aprp.core.http.urls import Url
from aprp.core.http.validators import Validators
from aprp.core.recovery.same_file import REDIRECTS
from aprp.upstream.errors import SourceError, SourceLied
from aprp.upstream.exchange import Exchange, Origin, Timeouts
from aprp.upstream.http.treq_agent import SourceAgent, ask
from aprp.upstream.transfer.body import Body, discard
from aprp.upstream.transfer.options import FileLocation, TransferOptions
from aprp.upstream.transfer.shared import SharedResources

USER_AGENT = f"aprp/{aprp.__version__}".encode("ascii")


class NotFollowed(SourceError):
    """A redirect that leads where it isn't followed."""

    kind = "http_protocol_error"


class TransferSource:
    """One source in one transfer.

    `kept` is a whole answer that waits to be read on, from a source that ignores ranges. `error`
    is the last that an attempt met; `beyond` is set when it said that the file ends before the
    range.
    """

    def __init__(
        self, shared: SharedResources, location: FileLocation, options: TransferOptions
    ) -> None:
        self.name = location.source.name
        self.spec = location.source
        self.ignores_ranges = False
        self.kept: Body | None = None
        self.error: SourceError | None = None
        self.beyond = False
        self._shared = shared
        self._url = location.url
        self._options = options
        self._versions: dict[str, Validators] = {}
        self._at = location.url

    @property
    def version(self) -> Validators | None:
        """The validators that the place asked last showed first."""
        return self._versions.get(self._at.origin)

    @version.setter
    def version(self, shown: Validators) -> None:
        self._versions[self._at.origin] = shown

    async def connect(self) -> float | None:
        """Have a connection wait where the next request will go; raises SourceError.

        Gives the seconds that it took to open it; None: one was there, or none is needed.
        """
        if self.kept is not None:
            return None
        known = self._known()
        if known is not None:
            try:
                return await self._connect(known)
            except SourceError:
                self._shared.remember(self._url, None)  # it may lead elsewhere by now
        return await self._connect(self._url)

    async def get(self, wanted: Range) -> tuple[Exchange, IResponse]:
        """Ask for a range; raises SourceError. The head of the answer isn't judged yet."""
        return await self._ask("GET", wanted)

    async def head(self) -> tuple[Exchange, IResponse]:
        """Ask for the head alone."""
        return await self._ask("HEAD", None)

    def take_kept(self, start: int) -> Body | None:
        """The whole answer that waits, if what comes next leads to the offset `start`."""
        kept = self.kept
        if kept is None or kept.ended or kept.at > start:
            return None
        self.kept = None
        return kept

    def keep(self, body: Body) -> None:
        """Hold a whole answer up, to read it on when the next range is asked for."""
        if self.kept is not None:
            self.kept.leave()
        body.wait()
        self.kept = body

    def close(self) -> None:
        """The transfer is over."""
        kept, self.kept = self.kept, None
        if kept is not None:
            kept.leave()

    async def _ask(self, method: str, wanted: Range | None) -> tuple[Exchange, IResponse]:
        known = self._known()
        if known is not None:
            try:
                exchange, response = await self._send(method, known, wanted)
                if exchange.head.status < 400 or exchange.head.status == 416:
                    return await self._follow(method, known, wanted, exchange, response)
                discard(exchange)
            except SourceLied:
                raise
            except SourceError:
                pass  # it may lead elsewhere by now
            self._shared.remember(self._url, None)
        exchange, response = await self._send(method, self._url, wanted)
        return await self._follow(method, self._url, wanted, exchange, response)

    def _known(self) -> Url | None:
        """The place that some transfer was led to, if it's one for this transfer's rule, too."""
        known, rule = self._shared.redirect_of(self._url), self._options.redirects
        if known is None or rule == "public":
            return known
        return known if rule == "same-host" and same_place(self._url, known) else None

    async def _connect(self, url: Url) -> float | None:
        origin, timeouts = await self._origin(url)
        return await self._shared.agent.connect(origin, timeouts.connect)

    async def _follow(
        self,
        method: str,
        url: Url,
        wanted: Range | None,
        exchange: Exchange,
        response: IResponse,
    ) -> tuple[Exchange, IResponse]:
        """What an answer's redirects lead to."""
        for _ in range(MOST_HOPS):
            if exchange.head.status not in REDIRECTS:
                break
            locations = exchange.head.fields.all(b"location")
            location = locations[0] if len(locations) == 1 else None
            discard(exchange)
            target = redirected(self._options.redirects, self._url, url, location)
            if isinstance(target, str):
                raise NotFollowed(target)
            url = target
            exchange, response = await self._send(method, url, wanted)
        else:
            discard(exchange)
            raise NotFollowed(f"redirects more than {MOST_HOPS} times")
        if url != self._url and exchange.head.status in (200, 206):
            self._shared.remember(self._url, url)
        return exchange, response

    async def _send(
        self, method: str, url: Url, wanted: Range | None
    ) -> tuple[Exchange, IResponse]:
        self._at = url
        options = self._options
        at_home = url.origin == self._url.origin
        origin, timeouts = await self._origin(url)
        face = SourceAgent(
            self._shared.agent,
            origin,
            url,
            timeouts,
            options.host if at_home else None,
        )
        lines: Pairs = ((b"User-Agent", USER_AGENT), (b"Accept", b"*/*"))
        if wanted is not None:
            lines += ((b"Range", FromTo(wanted.start, wanted.stop).header()),)
            strong = self.version.strong() if self.version is not None else None
            if strong is not None:
                lines += ((b"If-Range", strong),)
        own = (*(options.headers if at_home else ()), *options.marks)
        fields = Fields(lines).without(name.lower() for name, _ in own).adding(*own)
        response = await ask(face, method, url, fields)
        assert face.exchange is not None
        return face.exchange, response

    async def _origin(self, url: Url) -> tuple[Origin, Timeouts]:
        """Return where to connect to, and the timeouts that are left for it.

        It is another place than the source's own only where `reach` allows it.
        """
        clock, timeouts = self._shared.clock, self._options.timeouts
        began = clock.seconds()
        origin = await self._reach(url)
        left = timeouts.connect - origin.waited - (clock.seconds() - began)
        return origin, replace(timeouts, connect=max(0.0, left))

    async def _reach(self, url: Url) -> Origin:
        if self._options.reach is not None:
            return await self._options.reach(url, self._url)
        if url.host != self._url.host:
            raise NotFollowed(f"redirects to {url.origin}, which can't be checked here")
        return Origin(url.scheme, url.host, url.port, self._options.trust)
