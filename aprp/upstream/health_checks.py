"""Health checks: each source is requested a small answer at an interval, by its route's `health:`.

What the results mean is decided in `aprp.core.scheduling.in_service`. A check that takes longer
than the interval has failed. Checks go out on the agent's connections, as other requests do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

import aprp
from aprp.config import HealthSettings, Http2, Settings, SourcesRoute, UpstreamRoute
from aprp.core.http.fields import Fields
from aprp.core.http.urls import Url
from aprp.core.scheduling.in_service import HealthRules
from aprp.core.values import dataclass
from aprp.upstream.errors import OWN_FAULT, SourceError
from aprp.upstream.exchange import Origin, SourceRequest, Timeouts
from aprp.upstream.http.trust import trust_of
from aprp.upstream.transfer.body import discard
from aprp.upstream.transfer.route_options import names_of, sources_of
from aprp.upstream.transfer.shared import SharedResources

USER_AGENT = f"aprp/{aprp.__version__} (health check)".encode("ascii")


@dataclass(frozen=True, slots=True)
class Check:
    """How one source is checked; equal checks are the same one."""

    source: str
    origin: Origin
    path: str
    host: str
    fields: tuple[tuple[str, str], ...]
    timeouts: Timeouts
    interval: float
    rules: HealthRules

    @property
    def key(self) -> tuple[str, str]:
        """The key by which its results are kept."""
        return (self.source, self.path)

    def request(self) -> SourceRequest:
        """Return the request that is made."""
        own = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.fields]
        usual = (
            (b"Host", self.host.encode("ascii")),
            (b"User-Agent", USER_AGENT),
            (b"Accept", b"*/*"),
        )
        fields = Fields(usual).without(name.lower() for name, _ in own).adding(*own)
        path = self.path.encode("ascii")
        return SourceRequest(b"GET", self.origin, path, fields, self.timeouts)


def checks_of(settings: Settings) -> Iterator[Check]:
    """Give the checks that the settings ask for. Directories have none: each read is one."""
    for route in settings.routes:
        if isinstance(route, UpstreamRoute | SourcesRoute) and route.health is not None:
            if isinstance(route, UpstreamRoute):
                places = [(route.upstream, route.http2)]
            else:
                places = [(each.location, each.http2 or route.http2) for each in sources_of(route)]
            for name, (url, http2) in zip(names_of(route), places, strict=True):
                if url.directory is None:
                    yield _check(route, route.health, name, url, http2)


def _check(
    route: UpstreamRoute | SourcesRoute, health: HealthSettings, name: str, url: Url, http2: Http2
) -> Check:
    return Check(
        name,
        Origin.of(url, trust_of(route.tls.ca), http2),
        health.path,
        route.host or url.authority,
        route.headers,
        Timeouts(route.connect_timeout, route.first_byte_timeout, route.between_bytes_timeout),
        health.interval,
        HealthRules(health.fails, health.passes),
    )


class HealthChecks:
    """The checks of the process; those that are running follow the settings by `change`."""

    _log = Logger()

    def __init__(self, shared: SharedResources, clock: Any) -> None:
        self._shared = shared
        self._clock = clock
        self._running: dict[Check, LoopingCall] = {}
        self._asked: set[Deferred[Any]] = set()

    def change(self, checks: Iterable[Check]) -> None:
        """Replace the checks; those that are already running keep their schedule."""
        wanted = list(dict.fromkeys(checks))
        for check in [each for each in self._running if each not in wanted]:
            self._running.pop(check).stop()
        for check in wanted:
            if check not in self._running:
                loop = self._running[check] = LoopingCall(self._run, check)
                loop.clock = self._clock
                loop.start(check.interval).addErrback(self._ended, check)

    def stop(self) -> None:
        """Stop all checks, without leaving a timer or request."""
        self.change(())
        for asked in list(self._asked):
            asked.cancel()

    def _ended(self, failure: Any, check: Check) -> None:
        self._log.failure(
            "internal error in the health check of {source}",
            failure,
            source=check.source,
        )

    def _run(self, check: Check) -> Deferred[None]:
        """Make one check; never fails."""
        asked = Deferred.fromCoroutine(self._ask(check))
        asked.addTimeout(check.interval, self._clock)
        self._asked.add(asked)

        def over(result: Any) -> None:
            self._asked.discard(asked)
            if check in self._running:
                self._tell(check, self._failure(result, check))

        return asked.addBoth(over)

    async def _ask(self, check: Check) -> str | None:
        exchange = await self._shared.agent.open(check.request())
        status = exchange.head.status
        discard(exchange)
        return None if 200 <= status < 400 else f"answered {status}"

    def _failure(self, result: Any, check: Check) -> str | None:
        """Return why a check failed, None if it passed."""
        if result is None or isinstance(result, str):
            return result
        error = result.value
        if isinstance(error, SourceError):
            return str(error)
        if isinstance(error, DeferredTimeout):
            return f"didn't answer within {check.interval:g} s"
        self._log.failure("checking {source}", result, source=check.source)
        return str(OWN_FAULT)

    def _tell(self, check: Check, failure: str | None) -> None:
        service = self._shared.in_service
        before = service.out
        service.checked(check.source, check.path, failure, check.rules)
        if service.out == before:
            return
        if check.source in before:
            self._log.info("{source} is back in service", source=check.source)
        else:
            self._log.warn(
                "{source} is out of service: it {why}",
                source=check.source,
                why=service.why_out(check.source),
            )
        self._shared.service_changed()
