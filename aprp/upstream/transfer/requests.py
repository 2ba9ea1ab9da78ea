"""The requests of one source in one transfer, and its redirects.

Redirects are followed as the route allows. A redirect holds for the transfer, and for others as
long as it may be cached (`aprp.core.http.redirects`), until its target refuses. A version belongs
to the place that showed it: if two requests are redirected to two nodes, each node has its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import aprp
from aprp.core.choices import Http2, Same
from aprp.core.http.addresses import host_allowed
from aprp.core.http.answer_plan import ResponseSummary
from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.ranges import FromTo, Spec
from aprp.core.http.redirects import FOREVER, MOST_HOPS, redirected, remembered_for, same_place
from aprp.core.http.urls import Url
from aprp.core.http.validators import Validators
from aprp.core.http2.windows import Place
from aprp.core.reasons import Name, Reason
from aprp.core.recovery.statuses import REDIRECTS
from aprp.core.values import dataclass
from aprp.upstream.errors import SourceError, SourceLied
from aprp.upstream.exchange import ALONE, Exchange, Origin, Sharing, Timeouts
from aprp.upstream.http.treq_agent import SourceAgent, SourceResponse, ask
from aprp.upstream.tally import SourceTally
from aprp.upstream.transfer.body import discard
from aprp.upstream.transfer.options import FileLocation, TransferOptions
from aprp.upstream.transfer.resumed_body import summary_of
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.wall_clock import time

USER_AGENT = f"aprp/{aprp.__version__}".encode("ascii")

WANT_DIGESTS: Pairs = (
    (b"Want-Repr-Digest", b"sha-256=10, sha-512=3"),
    (b"Want-Digest", b"sha-256;q=1, sha-512;q=0.3"),
)
"""What `same: digest` asks for (RFC 9530 section 4, RFC 3230 section 4.3.1)."""


class NotFollowed(SourceError):
    """A redirect that leads where it isn't followed."""

    kind = "http_protocol_error"


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """A response, and the place that gave it."""

    response: SourceResponse
    place: Url

    @property
    def exchange(self) -> Exchange:
        """The exchange that its body is taken from."""
        return self.response.exchange

    @property
    def status(self) -> int:
        """The status of the response."""
        return self.exchange.head.status

    @property
    def fields(self) -> Fields:
        """The fields of the response."""
        return self.exchange.head.fields

    def summary(self) -> ResponseSummary:
        """Return the response as far as it decides, received now."""
        return summary_of(self.exchange.head, time())


class SourceRequests:
    """The requests of one source in one transfer; `tally` counts them.

    `lanes` returns over how many connections they may be spread (`Sharing.lanes`). `spoken` is the
    version of HTTP in which the source answered last.
    """

    def __init__(
        self,
        shared: SharedResources,
        location: FileLocation,
        options: TransferOptions,
        tally: SourceTally,
    ) -> None:
        self.lanes: Callable[[], int] = lambda: 1
        self.spoken: str | None = None
        self._shared = shared
        self._url = location.url
        self._http2 = location.http2 or options.http2
        self._options = options
        self._tally = tally
        self._versions: dict[Url, Validators] = {}
        self._redirected_to: Url | None = None

    def version_at(self, place: Url) -> Validators | None:
        """Return the validators that further responses of the place are held to."""
        return self._versions.get(place)

    def showed(self, place: Url, version: Validators) -> None:
        """Hold further responses of the place to this version, and use its redirect from now on."""
        self._versions[place] = version
        if self._redirected_to is None and place != self._url:
            self._redirected_to = place

    async def connect(self) -> float | None:
        """Open a connection for the next request; see `TransferSource.connect`."""
        known = self._known()
        if known is not None:
            try:
                return await self._connect(known)
            except SourceError:
                self._forget()  # it may lead elsewhere by now
        return await self._connect(self._url)

    async def ask(self, method: str, spec: Spec | None, conditional: bool) -> SourceAnswer:
        """Send a request, for all of the file where `spec` is None; raises SourceError.

        If it is `conditional`, it has If-Range where the place has shown its version.
        """
        known = self._known()
        if known is not None:
            try:
                answer = await self._send(method, known, spec, conditional)
                if answer.status < 400 or answer.status == 416:
                    return await self._follow(method, answer, spec, conditional, 0.0)
                discard(answer.exchange)
            except SourceLied:
                raise
            except SourceError:
                pass  # it may lead elsewhere by now
            self._forget()
        answer = await self._send(method, self._url, spec, conditional)
        return await self._follow(method, answer, spec, conditional, FOREVER)

    def _forget(self) -> None:
        self._redirected_to = None
        self._shared.remember(self._url, None)

    def _known(self) -> Url | None:
        """Return the redirect target of this transfer, or a cached one that its settings allow."""
        if self._redirected_to is not None:
            return self._redirected_to
        known, rule = self._shared.redirect_of(self._url), self._options.redirects
        if known is None or rule == "public":
            return known
        return known if rule == "same-host" and same_place(self._url, known) else None

    async def _connect(self, url: Url) -> float | None:
        origin, timeouts = await self._origin(url)
        lanes = self.lanes() if origin.may_share else 1
        return await self._shared.agent.connect(origin, timeouts.connect, self._tally, lanes)

    def _sharing(self, origin: Origin, spec: Spec | None) -> Sharing:
        """Return how a request for a range shares a connection: in the order of the file."""
        if not origin.may_share:
            return ALONE
        if not isinstance(spec, FromTo) or spec.stop is None:
            return Sharing(lanes=self.lanes())
        return Sharing(Place(self, spec.start), spec.stop - spec.start, self.lanes())

    async def _follow(
        self, method: str, answer: SourceAnswer, spec: Spec | None, conditional: bool, good: float
    ) -> SourceAnswer:
        """Follow the redirects of a response, which may be cached for at most `good` seconds."""
        lasting, seconds = self._url, good
        for _ in range(MOST_HOPS):
            status, fields = answer.status, answer.fields
            if status not in REDIRECTS:
                break
            locations = fields.all(b"location")
            location = locations[0] if len(locations) == 1 else None
            discard(answer.exchange)
            target = redirected(self._options.redirects, self._url, answer.place, location)
            if isinstance(target, Reason):
                raise NotFollowed.by(target, "")
            good = min(good, remembered_for(status, fields))
            if good > 0:
                lasting, seconds = target, good
            answer = await self._send(method, target, spec, conditional)
        else:
            discard(answer.exchange)
            raise NotFollowed("", f"redirects more than {MOST_HOPS} times")
        if lasting != self._url and answer.status in (200, 206):
            self._shared.remember(self._url, lasting, seconds)
        return answer

    async def _send(
        self, method: str, url: Url, spec: Spec | None, conditional: bool
    ) -> SourceAnswer:
        options = self._options
        at_home = self._is_home(url) and host_allowed(url.host, options.headers_to)
        origin, timeouts = await self._origin(url)
        lines: Pairs = ((b"User-Agent", USER_AGENT), (b"Accept", b"*/*"))
        if spec is not None:
            lines += ((b"Range", spec.header()),)
            version = self.version_at(url) if conditional else None
            strong = version.strong() if version is not None else None
            if strong is not None:
                lines += ((b"If-Range", strong),)
        if options.same is Same.DIGEST:
            lines += WANT_DIGESTS
        own = (*(options.headers if at_home else ()), *options.marks)
        names = {name.lower() for name, _ in own}
        fields = Fields((*(line for line in lines if line[0].lower() not in names), *own))
        agent = SourceAgent(
            self._shared.agent,
            origin,
            url,
            fields,
            timeouts,
            options.host if at_home else None,
            self._tally,
            self._sharing(origin, spec),
        )
        answer = SourceAnswer(await ask(agent, method), url)
        self.spoken = answer.exchange.head.protocol
        return answer

    async def _origin(self, url: Url) -> tuple[Origin, Timeouts]:
        """Return where to connect to, and the timeouts that are left after resolving its name.

        Only `reach` allows another host than the source's own.
        """
        clock, timeouts = self._shared.clock, self._options.timeouts
        began = clock.seconds()
        origin = await self._reach(url)
        http2 = self._http2
        if origin.http2 is not http2 and (http2 is not Http2.PRIOR_KNOWLEDGE or self._is_home(url)):
            origin = replace(origin, http2=http2)
        left = max(0.0, timeouts.connect - origin.waited - (clock.seconds() - began))
        return origin, Timeouts(left, timeouts.first_byte, timeouts.between_bytes)

    def _is_home(self, url: Url) -> bool:
        """Return whether the URL is at the source's own origin."""
        return url is self._url or url.origin == self._url.origin

    async def _reach(self, url: Url) -> Origin:
        if self._options.reach is not None:
            return await self._options.reach(url, self._url)
        if url.host != self._url.host:
            raise NotFollowed(
                "",
                "redirects to ",
                Name(url.origin, "another place"),
                ", which can't be checked here",
            )
        return Origin.of(url, self._options.trust)
