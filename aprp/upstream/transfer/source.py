"""One source as one transfer sees it: its requests, and what its responses have shown so far.

Redirects are followed as the route allows. A redirect holds for the transfer, and for others as
long as it may be cached (`aprp.core.http.redirects`), until its target refuses. A version belongs
to the place that showed it: if two requests are redirected to two nodes, each node has its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import aprp
from aprp.core.choices import Http2, Same
from aprp.core.http.addresses import host_allowed
from aprp.core.http.answer_plan import ResponseSummary
from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.ranges import FromTo, Range, Spec
from aprp.core.http.redirects import FOREVER, MOST_HOPS, redirected, remembered_for, same_place
from aprp.core.http.urls import Url
from aprp.core.http.validators import Validators
from aprp.core.http2.windows import Place
from aprp.core.reasons import Name, Reason, reason
from aprp.core.recovery.same_file import StandsAlone
from aprp.core.recovery.statuses import REDIRECTS
from aprp.core.recovery.versions import Facts
from aprp.upstream.errors import SourceError, SourceLied
from aprp.upstream.exchange import Exchange, Origin, Sharing, Timeouts
from aprp.upstream.http.treq_agent import SourceAgent, SourceResponse, ask
from aprp.upstream.transfer.body import Body, discard
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
        self.spec = replace(location.source, file=location.url.target)
        self.ignores_ranges = False
        self.kept: Body | None = None
        self.alone = False
        self.spare: tuple[SourceAnswer, StandsAlone] | None = None
        self.error: SourceError | None = None
        self.beyond = False
        self._shared = shared
        self.url = location.url
        self._http2 = location.http2 or options.http2
        self._options = options
        self._versions: dict[Url, Validators] = {}
        self._redirected_to: Url | None = None
        self.tally = options.tally_of(self.name)
        self.lanes: Callable[[], int] = lambda: 1
        """Returns over how many connections its requests may be spread (`Sharing.lanes`)."""
        self.spoken: str | None = None
        """The version of HTTP in which the source answered last."""

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

    def version_at(self, place: Url) -> Validators | None:
        """Return the validators that further responses of the place are held to."""
        return self._versions.get(place)

    def showed(self, place: Url, version: Validators) -> None:
        """Hold further responses of the place to this version, and use its redirect from now on."""
        self._versions[place] = version
        if self._redirected_to is None and place != self.url:
            self._redirected_to = place

    async def connect(self) -> float | None:
        """Open a connection for the next request, if none is idle; raises SourceError.

        Returns the seconds that it took, or None if nothing was opened.
        """
        if self.kept is not None:
            return None
        known = self._known()
        if known is not None:
            try:
                return await self._connect(known)
            except SourceError:
                self._forget()  # it may lead elsewhere by now
        return await self._connect(self.url)

    async def get(self, wanted: Range) -> SourceAnswer:
        """Request a range, with If-Range if the place has shown its version.

        Raises SourceError. The caller judges the head of the response.
        """
        return await self._ask("GET", FromTo(wanted.start, wanted.stop), conditional=True)

    async def get_alone(self, spec: Spec | None) -> SourceAnswer:
        """Request a range, or the whole file, whatever its version."""
        return await self._ask("GET", spec, conditional=False)

    async def head(self) -> SourceAnswer:
        """Request the head alone."""
        return await self._ask("HEAD", None, conditional=False)

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
            self.kept.drop()
        body.wait()
        self.kept = body

    def close(self) -> None:
        """Drop the responses that it holds: the transfer is over."""
        kept, self.kept = self.kept, None
        if kept is not None:
            kept.drop()
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

    async def _ask(self, method: str, spec: Spec | None, conditional: bool) -> SourceAnswer:
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
        answer = await self._send(method, self.url, spec, conditional)
        return await self._follow(method, answer, spec, conditional, FOREVER)

    def _forget(self) -> None:
        self._redirected_to = None
        self._shared.remember(self.url, None)

    def _known(self) -> Url | None:
        """Return the redirect target of this transfer, or a cached one that its settings allow."""
        if self._redirected_to is not None:
            return self._redirected_to
        known, rule = self._shared.redirect_of(self.url), self._options.redirects
        if known is None or rule == "public":
            return known
        return known if rule == "same-host" and same_place(self.url, known) else None

    async def _connect(self, url: Url) -> float | None:
        origin, timeouts = await self._origin(url)
        return await self._shared.agent.connect(origin, timeouts.connect, self.tally, self.lanes())

    def _sharing(self, spec: Spec | None) -> Sharing:
        """Return how a request for a range shares a connection: in the order of the file."""
        if not isinstance(spec, FromTo) or spec.stop is None:
            return Sharing(lanes=self.lanes())
        return Sharing(Place(self, spec.start), spec.stop - spec.start, self.lanes())

    async def _follow(
        self, method: str, answer: SourceAnswer, spec: Spec | None, conditional: bool, good: float
    ) -> SourceAnswer:
        """Follow the redirects of a response, which may be cached for at most `good` seconds."""
        lasting, seconds = self.url, good
        for _ in range(MOST_HOPS):
            status, fields = answer.status, answer.fields
            if status not in REDIRECTS:
                break
            locations = fields.all(b"location")
            location = locations[0] if len(locations) == 1 else None
            discard(answer.exchange)
            target = redirected(self._options.redirects, self.url, answer.place, location)
            if isinstance(target, Reason):
                raise NotFollowed.by(target, "")
            good = min(good, remembered_for(status, fields))
            if good > 0:
                lasting, seconds = target, good
            answer = await self._send(method, target, spec, conditional)
        else:
            discard(answer.exchange)
            raise NotFollowed("", f"redirects more than {MOST_HOPS} times")
        if lasting != self.url and answer.status in (200, 206):
            self._shared.remember(self.url, lasting, seconds)
        return answer

    async def _send(
        self, method: str, url: Url, spec: Spec | None, conditional: bool
    ) -> SourceAnswer:
        options = self._options
        at_home = url.origin == self.url.origin and host_allowed(url.host, options.headers_to)
        origin, timeouts = await self._origin(url)
        agent = SourceAgent(
            self._shared.agent,
            origin,
            url,
            timeouts,
            options.host if at_home else None,
            self.tally,
            self._sharing(spec),
        )
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
        fields = Fields(lines).without(name.lower() for name, _ in own).adding(*own)
        answer = SourceAnswer(await ask(agent, method, fields), url)
        self.spoken = answer.exchange.head.protocol
        return answer

    async def _origin(self, url: Url) -> tuple[Origin, Timeouts]:
        """Return where to connect to, and the timeouts that are left after resolving its name.

        Only `reach` allows another host than the source's own.
        """
        clock, timeouts = self._shared.clock, self._options.timeouts
        began = clock.seconds()
        origin = await self._reach(url)
        if self._http2 is not Http2.PRIOR_KNOWLEDGE or url.origin == self.url.origin:
            origin = replace(origin, http2=self._http2)
        left = timeouts.connect - origin.waited - (clock.seconds() - began)
        return origin, replace(timeouts, connect=max(0.0, left))

    async def _reach(self, url: Url) -> Origin:
        if self._options.reach is not None:
            return await self._options.reach(url, self.url)
        if url.host != self.url.host:
            raise NotFollowed(
                "",
                "redirects to ",
                Name(url.origin, "another place"),
                ", which can't be checked here",
            )
        return Origin.of(url, self._options.trust)
