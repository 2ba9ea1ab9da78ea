"""The PROXY protocol on `haproxy:` endpoints: Twisted's, which also takes a header in pieces.

Its specification recommends that (section 2).
"""

from __future__ import annotations

from typing import Any

from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper, HAProxyWrappingFactory

VERSION_2 = b"\r\n\r\n\x00\r\nQUIT\n"
VERSION_1 = b"PROXY"
_TELLING = ((VERSION_2, 16), (VERSION_1, 8))
"""How each version begins, and how many bytes Twisted needs at once to recognise it."""


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
