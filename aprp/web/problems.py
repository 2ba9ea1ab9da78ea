"""What went wrong lately, in words for an operator, each with what to do about it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from twisted.logger import Logger

from aprp.upstream.wall_clock import time

MOST = 50
"""Problems remembered, the latest of each source and kind."""

ADVICE = {
    "connection_refused": "Nothing listens there: is the server running, is the port right?",
    "connection_timeout": "Is the host up, and does a firewall let aprp through?",
    "connection_terminated": "The server closes connections early; its own log may say why.",
    "connection_read_timeout": "The server stalls; if it's only slow, raise between_bytes_timeout.",
    "destination_ip_unroutable": "Check the route to the host: ip route get ADDRESS.",
    "dns_error": "Check the name in the configuration, and the resolver: getent hosts NAME.",
    "http_response_timeout": "The server is slow to answer; if it has to be, raise "
    "first_byte_timeout.",
    "http_response_incomplete": "The server cuts its answers off; its own log may say why.",
    "http_protocol_error": "The answer isn't valid HTTP or isn't what was requested: compare with "
    "curl -v.",
    "tls_certificate_error": "Renew the certificate, or name its authority in `tls: {ca: FILE}`.",
    "tls_protocol_error": "Does the port speak TLS? Try: openssl s_client -connect HOST:PORT.",
    "status": "The server has a fault of its own; its log says which.",
    "mismatch": "Make the copies the same, or take the source out of the route.",
    "missing": "Copy the file to this source; the other sources serve it meanwhile.",
    "no_source": "Every source failed; what each did is in the log and in Proxy-Status.",
}
"""By RFC 9209 type, or by a word of ours."""


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
    """The last ones, the latest at the end. Repeats of one are counted, not kept."""

    _log = Logger()

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self._problems: OrderedDict[tuple[str, str, str], Problem] = OrderedDict()

    def __iter__(self) -> Iterator[Problem]:
        return iter(tuple(self._problems.values()))

    def note(self, route: str, source: str, kind: str, text: str) -> None:
        """Remember it. A certificate that isn't trusted is a warning in the log, once."""
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
