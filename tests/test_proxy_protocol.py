"""`haproxy:` endpoints: a header of the PROXY protocol, whole or in pieces."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.trial.unittest import SynchronousTestCase

from aprp.daemon.proxy_protocol import VERSION_2, PatientWrapper, use_for_endpoints

ADDRESSES = socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.1") + b"\x03\xe8\x00\x50"
HEADERS = (
    b"PROXY TCP4 192.0.2.7 192.0.2.1 1000 80\r\n",
    VERSION_2 + b"\x21\x11\x00\x0c" + ADDRESSES,
)
REQUEST = b"GET / HTTP/1.1\r\n\r\n"


class Heard(Protocol):
    data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data


class ProxyProtocolTests(SynchronousTestCase):
    def setUp(self) -> None:
        use_for_endpoints()
        self.heard = Heard()
        factory: Any = HAProxyWrappingFactory(Factory.forProtocol(lambda: self.heard))
        self.wrapper = factory.buildProtocol(None)
        self.transport = StringTransport()
        self.wrapper.makeConnection(self.transport)

    def test_it_is_that_of_twisted_s_endpoints(self) -> None:
        self.assertIsInstance(self.wrapper, PatientWrapper)

    def test_in_pieces_of_any_size(self) -> None:
        for header in HEADERS:
            for size in range(1, len(header) + 2):
                self.setUp()
                data = header + REQUEST
                for at in range(0, len(data), size):
                    self.wrapper.dataReceived(data[at : at + size])
                self.assertEqual(self.heard.data, REQUEST, size)
                self.assertEqual(self.wrapper.getPeer().host, "192.0.2.7")
                self.assertFalse(self.transport.disconnecting)

    def test_of_nobody(self) -> None:
        """Proxies check health, and pass on clients without an address, by such headers."""
        local = VERSION_2 + b"\x20\x00\x00\x00"
        for header in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN a b c d\r\n", local):
            self.setUp()
            self.wrapper.dataReceived(header + REQUEST)
            self.assertEqual(self.heard.data, REQUEST, header)
            self.assertEqual(self.wrapper.getPeer(), self.transport.getPeer())

    def test_what_is_no_header(self) -> None:
        unknown = b"PROXY TCP9 1 2 3 4\r\n", VERSION_2 + b"\x31123"
        malformed = (
            b"PROXY TCP4 192.0.2.7 192.0.2.1 a b\r\n",
            b"PROXY TCP4 \xff 192.0.2.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7\nX:1 192.0.2.1 1 2\r\n",
        )
        for data in (REQUEST, b"G", b"PROXX", b"\r\n\r\n\x01", *unknown, *malformed):
            self.setUp()
            self.wrapper.dataReceived(data)
            self.assertTrue(self.transport.disconnecting, data)
            self.assertEqual(self.heard.data, b"")
