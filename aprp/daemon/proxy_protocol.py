"""The PROXY protocol on `haproxy:` endpoints: Twisted's, held to its specification.

A header may come in pieces (section 2). `PROXY UNKNOWN` may stand alone (section 2.1), as proxies
write it for their own health checks and for clients of a Unix socket. What stands for an address
must be one, since logs and upstreams get it.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from twisted.protocols.haproxy._exceptions import InvalidProxyHeader
from twisted.protocols.haproxy._info import ProxyInfo
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper, HAProxyWrappingFactory

VERSION_2 = b"\r\n\r\n\x00\r\nQUIT\n"
VERSION_1 = b"PROXY"
_TELLING = ((VERSION_2, 16), (VERSION_1, 8))
"""How each version begins, and how many bytes Twisted needs at once to recognise it."""


class StrictVersion1(V1Parser):
    """Parses a header of version 1."""

    @classmethod
    def parse(cls, line: bytes) -> ProxyInfo:
        """Return what a header without its CRLF says; raise InvalidProxyHeader."""
        if line == b"PROXY UNKNOWN":
            return ProxyInfo(line, None, None)
        try:
            info = super().parse(line)
            source: Any = info.source
            if source is not None:
                ip_address(source.host)
        except ValueError as error:
            raise InvalidProxyHeader from error
        return info


class PatientWrapper(HAProxyProtocolWrapper):
    """Waits until there are enough bytes to tell which version a header has."""

    _early = b""

    def dataReceived(self, data: bytes) -> None:
        if self._parser is None and self._proxyInfo is None:
            data = self._early + data
            self._early = b""
            if _may_become_a_header(data):
                self._early = data
                return
            if data.startswith(VERSION_1):
                self._parser = StrictVersion1()
        super().dataReceived(data)


def _may_become_a_header(data: bytes) -> bool:
    """Return whether these first bytes are too few to tell."""
    return any(
        len(data) < needed and data[: len(start)] == start[: len(data)]
        for start, needed in _TELLING
    )


def use_for_endpoints() -> None:
    """Have Twisted's endpoints use it, and leave their starts and stops out of the log."""
    factory: Any = HAProxyWrappingFactory
    factory.protocol, factory.noisy = PatientWrapper, False
