"""What a receiver keeps account of."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from aprp.core.http2.floods import USELESS_MOST, WORTH, UselessFrames
from aprp.core.http2.frames import DEFAULT_WINDOW, Broken, Code
from aprp.core.http2.receiving import (
    REMEMBERED,
    ConnectionWindow,
    ReceiveWindow,
    StoppedStreams,
)
from aprp.core.http2.requests import is_no_http1


class ReceivingTests(SynchronousTestCase):
    def test_a_window(self) -> None:
        window = ReceiveWindow()
        window.charge(DEFAULT_WINDOW)
        window.allow(10)
        window.charge(10)
        error = self.assertRaises(Broken, window.charge, 1)
        self.assertEqual(error.code, Code.FLOW_CONTROL_ERROR)

    def test_a_connection_opens_again_once_a_quarter_is_used(self) -> None:
        window = ConnectionWindow(1 << 20)
        self.assertEqual(window.first, (1 << 20) - DEFAULT_WINDOW)
        window.charge(1 << 18)
        self.assertEqual(window.increment(), 0)
        window.charge(1)
        self.assertEqual(window.increment(), (1 << 18) + 1)
        self.assertEqual((window.left, window.increment()), (1 << 20, 0))
        self.assertRaises(Broken, window.charge, (1 << 20) + 1)

    def test_streams_that_were_stopped(self) -> None:
        stopped = StoppedStreams()
        for number in range(1, 2 * REMEMBERED + 3, 2):
            stopped.add(number)
        self.assertEqual((1 in stopped, 3 in stopped), (False, True))
        stopped.check(3, idle=False)
        stopped.ended(3)
        for idle, code in ((False, Code.STREAM_CLOSED), (True, Code.PROTOCOL_ERROR)):
            error = self.assertRaises(Broken, stopped.check, 3, idle)
            self.assertEqual(error.code, code)

    def test_frames_without_use(self) -> None:
        useless = UselessFrames()
        for _ in range(USELESS_MOST):
            useless.note(0.0, 0)
        useless.note(0.0, WORTH)
        error = self.assertRaises(Broken, useless.note, 0.0, 0)
        self.assertEqual(error.code, Code.ENHANCE_YOUR_CALM)
        useless.note(1.0, 0)

    def test_what_is_no_request_of_http1(self) -> None:
        for data, verdict in (
            (b"INVALID CONNECTION PREFACE\r\n\r\n", True),
            (b"GET /\r\n", True),
            (b"GET / HTTP/1.1\r\n", False),
            (b"PRI * HTTP/2.0\r\n", False),
            (b"INVALID", False),
            (b"\r\nGET / HTTP/1.1\r\n", False),
        ):
            self.assertEqual(is_no_http1(data), verdict, data)
