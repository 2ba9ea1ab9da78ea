"""The latest problems, each with advice for the operator."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace

from twisted.logger import Logger

from aprp.core.values import dataclass
from aprp.upstream.wall_clock import time

MOST = 50
"""How many problems to keep: the latest of each source and kind."""

ADVICE = {
    "connection_refused": "Nothing listens there: is the server running, is the port right?",
    "connection_timeout": "Is the host up, and does a firewall let aprp through?",
    "connection_terminated": "The server closes connections early; its log may say why.",
    "connection_read_timeout": "The server stalls; if it's only slow, raise between_bytes_timeout.",
    "destination_ip_unroutable": "Check the route to the host: ip route get ADDRESS.",
    "dns_error": "Check the name in the configuration, and the resolver: getent hosts NAME.",
    "http_response_timeout": "The server is slow to respond; if that is normal, raise "
    "first_byte_timeout.",
    "http_response_incomplete": "The server cuts its responses off; its log may say why.",
    "http_protocol_error": "The response isn't valid HTTP, or not what was requested; compare with "
    "curl -v.",
    "tls_certificate_error": "Renew the certificate, or name its authority in `tls: {ca: FILE}`.",
    "tls_protocol_error": "Does the port speak TLS? Try: openssl s_client -connect HOST:PORT.",
    "status": "The server has an internal error; its log says which.",
    "mismatch": "Make the files identical, or remove the source from the route.",
    "missing": "Copy the file to this source; until then the other sources serve it.",
    "corrupt": "Its copy is damaged or was altered: replace it, or remove the source.",
    "no_source": "Every source failed; the log and Proxy-Status have each source's reason.",
}
"""Advice by RFC 9209 error type, or by one of our own kinds."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: `count` times since `first`, last at `at` (unix time)."""

    route: str
    source: str
    kind: str
    text: str
    advice: str
    first: float
    at: float
    count: int = 1


class Problems:
    """The latest problems, oldest first. A repeated problem is counted."""

    _log = Logger()

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._problems: OrderedDict[tuple[str, str, str], Problem] = OrderedDict()

    def __iter__(self) -> Iterator[Problem]:
        return iter(tuple(self._problems.values()))

    def note(self, route: str, source: str, kind: str, text: str) -> None:
        """Record a problem. Log an untrusted certificate as a warning, once."""
        key, now = (route, source, kind), self._clock()
        known = self._problems.pop(key, None)
        if known is None:
            advice = ADVICE.get(kind, "The log may say more.")
            self._problems[key] = Problem(route, source, kind, text, advice, now, now)
            if kind == "tls_certificate_error":
                self._log.warn("{route}: {text}. {advice}", route=route, text=text, advice=advice)
        else:
            self._problems[key] = replace(known, text=text, at=now, count=known.count + 1)
        if len(self._problems) > MOST:
            self._problems.popitem(last=False)
