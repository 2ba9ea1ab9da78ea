"""The multi-source proxy: one file from several mirrors, sent in order as one response.

There is no request to find out what the file is: the first block's answer tells, and its bytes
flow on as they come. Only where no body is to come (HEAD, a client that asks whether its copy is
fresh), or a long range counts from the end, a source is asked for the head alone.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.web.server import NOT_DONE_YET

from aprp.config import SourcesRoute
from aprp.core.choices import Same
from aprp.core.http.answer_plan import RequestedRange, plan_for
from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.forwarding import with_via
from aprp.core.http.plans import Plan, as_one_pass, ranges_of
from aprp.core.http.ranges import FromTo, Spec
from aprp.core.http.targets import under
from aprp.core.http.urls import Url
from aprp.core.http.validators import Validators, format_date
from aprp.core.recovery.client_validators import client_validators
from aprp.core.recovery.versions import Facts, Representation, combinable
from aprp.core.values import dataclass
from aprp.upstream.http.guard import Guard, own_host_or
from aprp.upstream.http.trust import trust_of
from aprp.upstream.tally import uncounted
from aprp.upstream.transfer.failures import LengthUnknown, TransferFailed
from aprp.upstream.transfer.options import FileLocation, TransferOptions
from aprp.upstream.transfer.route_options import location, names_of, options_of, sources_of
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.transfer import Transfer
from aprp.web.failures import Refusal, failure_of
from aprp.web.handling import run_handler
from aprp.web.held_sink import Sink
from aprp.web.loops import own_via
from aprp.web.range_request import RangeRequest, read_range_request
from aprp.web.request import ProxyRequest
from aprp.web.responding import send
from aprp.web.routes import RouteResource
from aprp.web.sinks import sink_for
from aprp.web.tallies import RouteTally
from aprp.web.unknown_length import CannotCut, relay

FRESHNESS = frozenset((b"if-none-match", b"if-modified-since"))
"""Fields by which a client asks whether its copy is fresh."""


class MultiSource(RouteResource):
    """The leaf of a `sources:` route."""

    def __init__(
        self,
        route: SourcesRoute,
        shared: SharedResources,
        clock: Any,
        guard: Guard | None = None,
        tally: RouteTally | None = None,
    ) -> None:
        super().__init__(route)
        self._route = route
        self._shared = shared
        self._clock = clock
        trust = trust_of(route.tls.ca)
        guard = guard or Guard(shared.agent.names)
        reach = own_host_or(guard, trust, route.connect_timeout)
        self._places = places_of(route)
        self._options = options_of(route, trust, reach)._replace(
            tally_of=tally.source if tally is not None else uncounted
        )

    def render(self, request: ProxyRequest) -> int:
        route = self._route
        if (refusal := refused_method(request)) is not None:
            request.fail(refusal)
            return NOT_DONE_YET
        rest = under(self.prefix, request.target.path) or b""
        head = request.method == b"HEAD"
        range_request = read_range_request(
            request.fields, head, rest, route.path_ranges, route.max_ranges
        )
        run_handler(request, self._respond(request, range_request))
        return NOT_DONE_YET

    async def _respond(self, request: ProxyRequest, range_request: RangeRequest) -> None:
        """Answer the request from the route's sources."""
        locations = locations_of(self._places, range_request.path, request.target.query)
        await self._send(request, range_request, locations, self._options)

    async def _send(
        self,
        request: ProxyRequest,
        range_request: RangeRequest,
        locations: tuple[FileLocation, ...],
        options: TransferOptions,
    ) -> None:
        """Answer the request with the file at some locations."""
        options = options._replace(marks=own_via(request), transfer_id=request.id)
        name = self.prefix.rstrip(b"/") + range_request.path + request.target.query
        sink = sink_for(request, self._clock, self._route, self.bandwidth)

        def transfer(known: Facts | None = None) -> Transfer:
            return Transfer(self._shared, locations, options, known)

        await self.serve(FileVisit(request, range_request, name, transfer, options.same, sink))

    def serve(self, visit: FileVisit) -> Coroutine[Deferred[Any], Any, None]:
        """Answer a request."""
        request, transfer = visit.request, visit.transfer(None)
        return serve(request, visit.range_request, visit.name, transfer, visit.same, visit.sink)


@dataclass(frozen=True, slots=True)
class FileVisit:
    """A request for a file that clients know as `name`. `transfer` returns a new transfer of it,
    of the version that is given, if one is.
    """

    request: ProxyRequest
    range_request: RangeRequest
    name: bytes
    transfer: Callable[[Facts | None], Transfer]
    same: Same
    sink: Sink


def refused_method(request: ProxyRequest) -> Refusal | None:
    """Return the refusal of methods other than GET and HEAD."""
    if request.method in (b"GET", b"HEAD"):
        return None
    text = "only GET and HEAD are served on this route"
    return Refusal(405, text, "http_request_denied", ((b"Allow", b"GET, HEAD"),))


MOST_TRIES = 3
"""Responses that are opened for one request, where the file changes between them."""


async def serve(
    request: ProxyRequest,
    range_request: RangeRequest,
    name: bytes,
    transfer: Transfer,
    same: Same,
    sink: Sink,
    begun: Facts | LengthUnknown | None = None,
) -> None:
    """Answer the request with what it asks of the transfer's file, known here as `name`.

    `begun` is what the transfer's `begin` returned or raised, if it was called already.
    """
    request.range = range_request.text
    asked = range_request.asked
    request.transfer = transfer
    try:
        if isinstance(begun, LengthUnknown):
            raise begun
        facts = await transfer.begin(first_range(asked)) if begun is None else begun
        plan, current = plan_of(asked, name, facts, same, transfer.one_source, transfer.identity)
        for _ in range(MOST_TRIES):
            before, facts = facts, await transfer.prepare(() if asked.head else ranges_of(plan))
            if facts is before:
                break
            plan, current = plan_of(
                asked, name, facts, same, transfer.one_source, transfer.identity
            )
        await send(request, plan, representation(facts.shown, current), transfer, sink)
    except LengthUnknown as unknown:
        await _relay(request, asked, same, unknown, transfer, sink)
    except TransferFailed as failed:
        if (failed.missing or failed.forbidden) and not request.startedWriting:
            failure = failure_of(failed, request.names_sources)
            raise Refusal(failure.status, failure.text, failure.kind) from None
        raise
    finally:
        sink.close()
        transfer.abort()
        request.upstream = ",".join(transfer.contributors) or None
        request.resumes = transfer.resumes
        request.duplicates = transfer.wasted
        request.sources = tuple(transfer.received.items())
    request.finish()


async def _relay(
    request: ProxyRequest,
    asked: RequestedRange,
    same: Same,
    unknown: LengthUnknown,
    transfer: Transfer,
    sink: Sink,
) -> None:
    shown = unknown.response.shown
    current = shown.validators
    if not transfer.one_source:
        current = replace(current, etag=None)
    if same != Same.MODIFIED:
        current = replace(current, last_modified=None)
    if current.etag is None and current.last_modified is None:
        asked = _never_fresh(asked)
    fields = representation(shown, current)
    try:
        await relay(request, asked, fields, current, unknown.response, transfer.arrived, sink)
    except CannotCut:
        raise unknown from None


def plan_of(
    asked: RequestedRange,
    name: bytes,
    facts: Facts,
    same: Same,
    one_source: bool,
    identity: str | None = None,
) -> tuple[Plan, Validators]:
    """Return the plan for a request, and the validators that its client is shown."""
    current = client_validators(name, facts, same, one_source, identity)
    if current.etag is None and current.last_modified is None:
        asked = _never_fresh(asked)
    plan = plan_for(asked, facts.complete, current)
    return plan if combinable(facts, same) else as_one_pass(plan), current


def first_range(asked: RequestedRange) -> Spec | None:
    """Return the range to begin with before anything is known of the file; None for its head
    alone.
    """
    if any(name in asked.fields for name in FRESHNESS):
        return None
    return None if asked.head else asked.wanted or FromTo(0)


def representation(shown: Representation, current: Validators) -> Fields:
    """Return the fields that describe the file: the client's validators, the source's others."""
    lines: Pairs = () if current.etag is None else ((b"ETag", bytes(current.etag)),)
    if current.last_modified is not None:
        lines += ((b"Last-Modified", format_date(current.last_modified)),)
    if shown.media_type is not None:
        lines += ((b"Content-Type", shown.media_type),)
    return with_via(Fields(lines + shown.fields.pairs), b"1.1")


def _never_fresh(asked: RequestedRange) -> RequestedRange:
    """Return the request without its conditions: without validators, no copy of the client's is
    fresh.
    """
    return asked._replace(fields=asked.fields.without(FRESHNESS))


def places_of(route: SourcesRoute) -> tuple[FileLocation, ...]:
    """Return where each source of a route has its files."""
    return tuple(map(location, sources_of(route), names_of(route)))


def locations_of(
    places: Sequence[FileLocation], path: bytes, query: bytes
) -> tuple[FileLocation, ...]:
    """Return where the sources that have files at these places have the one at `path`, relative
    to the route.
    """
    return tuple(
        [
            FileLocation(place.source, file_url(place.url, path, query), place.http2)
            for place in places
        ]
    )


def file_url(base: Url, path: bytes, query: bytes) -> Url:
    """Return the URL of the file at `path` below `base`, byte for byte.

    A base that doesn't end in a slash may be the URL of a single file. It is used as it is if no
    path follows the route's own, or only the file's own name.
    """
    rest = path.decode("ascii")
    single = not base.path.endswith("/") and rest in ("", "/", base.path[base.path.rindex("/") :])
    joined = base.path if single else base.path.rstrip("/") + rest or "/"
    asked = base.query
    if query and asked is None and base.directory is None:
        asked = query[1:].decode("ascii")
    return Url(base.scheme, base.host, base.port, joined, asked, base.socket, base.directory)
