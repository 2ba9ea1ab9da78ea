"""`request_buffering: off`, and responses that come bit by bit: nothing is held up on its way."""

from __future__ import annotations

from tests.support.client import get, post
from tests.support.two_ends import TwoEndsCase

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MUCH = bytes(range(256)) * 65536  # 16 MiB
LENGTH = b"Content-Length: %d" % len(MUCH)
CHUNKED = b"Transfer-Encoding: chunked"


class StreamedCase(TwoEndsCase):
    def streaming(self, **route: object) -> int:
        return self.in_front(request_buffering="off", **route)


class BodyTests(StreamedCase):
    async def test_a_body_with_a_length(self) -> None:
        client, upstream = await self.asked(self.streaming(), post(LENGTH))
        head = upstream.data
        self.assertTrue(head.endswith(b"\r\n\r\n"), "the head comes before the body")
        self.assertIn(LENGTH + b"\r\n", head)
        await client.send(MUCH[:1000])
        await upstream.until_last(MUCH[:1000])
        await client.send(MUCH[1000:])
        await upstream.until_received(len(head) + len(MUCH))
        self.assertTrue(upstream.data == head + MUCH)
        await upstream.send(OK)
        (seen,) = await client.answers([b"POST"])
        self.assertEqual((seen.status, seen.body, seen.get(b"connection")), (200, b"ok", None))
        self.assertEqual(self.records[0].bytes_received, len(MUCH))

    async def test_the_connection_goes_on(self) -> None:
        port = self.streaming()
        raw = post(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n") + post(
            b"Content-Length: 3", body=b"abc"
        )
        client, upstream = await self.asked(port, raw)
        await upstream.until_last(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        await upstream.send(OK)
        await self.soon(lambda: len(self.upstreams) > 1)
        await self.upstreams[1].until_last(b"\r\n\r\nabc")
        await self.upstreams[1].send(OK)
        seen = await client.answers([b"POST", b"POST"])
        self.assertEqual([each.status for each in seen], [200, 200])

    async def test_chunks_are_made_anew(self) -> None:
        client, upstream = await self.asked(self.streaming(), post(CHUNKED))
        self.assertIn(b"Transfer-Encoding: chunked\r\n", upstream.data)
        upstream.forget()
        await client.send(b"3;x=y\r\nabc\r\n")
        await upstream.until(lambda: upstream.data == b"3\r\nabc\r\n")
        await client.send(b"0\r\nA: trailer\r\n\r\n")
        await upstream.until(lambda: upstream.data == b"3\r\nabc\r\n0\r\n\r\n")

    async def test_the_upstream_paces_the_client(self) -> None:
        client, upstream = await self.asked(self.streaming(), post(LENGTH))
        upstream.transport.pauseProducing()
        client.transport.write(MUCH)
        unsent = -1
        while unsent != client.unsent:
            unsent = client.unsent
            await self.wait(0.3)
        self.assertGreater(unsent, 0)
        upstream.transport.resumeProducing()
        await upstream.until_received(len(MUCH))

    async def test_gets_and_other_routes_are_buffered(self) -> None:
        for port, method in ((self.in_front(), b"POST"), (self.streaming(), b"GET")):
            client = await self.client(port)
            await client.send(post(b"Content-Length: 5", body=b"hell", method=method))
            await self.wait(0.1)
            self.assertEqual(self.upstreams, [])
            await client.send(b"o")
            await self.soon(lambda: self.upstreams)
            await self.upstreams.pop().until_last(b"\r\n\r\nhello")


class EarlyResponseTests(StreamedCase):
    async def test_the_client_has_it_at_once_and_the_connection_ends(self) -> None:
        client, upstream = await self.asked(self.streaming(), post(LENGTH, body=MUCH[:5]))
        await upstream.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        (seen,) = await client.answers([b"POST"])
        self.assertEqual((seen.status, seen.body), (403, b"no"))
        self.assertEqual(seen.get(b"connection"), b"close")
        await upstream.ended()
        await client.send(MUCH[5:] + get(b"/smuggled"))
        client.transport.loseConnection()
        await client.ended(30)
        self.assertEqual(len(self.upstreams), 1)

    async def test_both_ways_at_once(self) -> None:
        client, upstream = await self.asked(self.streaming(), post(CHUNKED))
        await upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for text in (b"one", b"two", b"six"):
            await client.send(b"3\r\n%s\r\n" % text)
            await upstream.until_last(b"3\r\n%s\r\n" % text)
            await upstream.send(b"3\r\n%s\r\n" % text)
            await client.until_last(b"3\r\n%s\r\n" % text)
        await client.send(b"0\r\n\r\n")
        await upstream.until_last(b"0\r\n\r\n")
        await upstream.send(b"0\r\n\r\n")
        (seen,) = await client.answers([b"POST"])
        self.assertEqual((seen.body, seen.whole), (b"onetwosix", True))


class FaultTests(StreamedCase):
    async def test_too_large_by_its_length(self) -> None:
        client = await self.client(self.streaming(max_body=100))
        await client.send(post(b"Content-Length: 101", b"Expect: 100-continue"))
        (seen,) = await client.answers([b"POST"])
        self.assertEqual((seen.status, self.upstreams), (413, []))

    async def test_what_ends_a_body_that_has_begun(self) -> None:
        for sent, status in (
            (b"60\r\n" + bytes(96) + b"\r\n", 413),
            (b"x\r\n", 400),
            (b"3\r\nabcd\r\n", 400),
            (b"", 408),
        ):
            port = self.streaming(max_body=100, send_timeout=0.2 if status == 408 else 60.0)
            client, upstream = await self.asked(port, post(CHUNKED, body=b"5\r\nhello\r\n"))
            await upstream.until_last(b"5\r\nhello\r\n")
            await client.send(sent)
            (seen,) = await client.answers([b"POST"])
            self.assertEqual((seen.status, seen.get(b"connection")), (status, b"close"))
            await upstream.ended()
            self.assertEqual(upstream.closed, "reset")
            self.assertNotIn(b"0\r\n\r\n", upstream.data)

    async def test_a_client_that_leaves(self) -> None:
        client, upstream = await self.asked(self.streaming(), post(LENGTH, body=b"hello"))
        await upstream.until_last(b"hello")
        client.transport.abortConnection()
        await upstream.ended()
        self.assertEqual(upstream.closed, "reset")

    async def test_an_upstream_that_leaves(self) -> None:
        client, upstream = await self.asked(self.streaming(), post(LENGTH, body=b"hello"))
        upstream.transport.loseConnection()
        (seen,) = await client.answers([b"POST"])
        self.assertEqual((seen.status, seen.get(b"connection")), (502, b"close"))

    async def test_the_time_for_a_response_counts_from_the_end_of_the_body(self) -> None:
        port = self.streaming(first_byte_timeout=0.3)
        client, upstream = await self.asked(port, post(b"Content-Length: 3", body=b"a"))
        await self.wait(0.5)
        await client.send(b"bc")
        await upstream.until_last(b"abc")
        (seen,) = await client.answers([b"POST"])
        self.assertEqual(seen.status, 504)


class UnheldResponseTests(TwoEndsCase):
    async def test_events_arrive_one_by_one(self) -> None:
        for framing in (CHUNKED, b"Connection: close"):
            client, upstream = await self.asked(self.in_front(), get(b"/events"))
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%s\r\n\r\n" % framing
            await upstream.send(head)
            await client.until_last(b"\r\n\r\n")
            for number in range(3):
                event = b"data: %d\n\n" % number
                chunk = b"%x\r\n%s\r\n" % (len(event), event)
                await upstream.send(chunk if framing == CHUNKED else event)
                await client.until_last(chunk)
            await self.end(client)

    async def test_a_declared_length_is_not_gathered(self) -> None:
        client, upstream = await self.asked(self.in_front(), get(b"/file"))
        await upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for piece in (b"first", b"second", b"third"):
            await upstream.send(piece)
            await client.until_last(piece)

    async def test_a_long_poll(self) -> None:
        port = self.in_front(between_bytes_timeout=0.1)
        client, upstream = await self.asked(port, get(b"/poll"))
        await self.wait(0.4)
        await upstream.send(OK)
        (seen,) = await client.answers([b"GET"])
        self.assertEqual(seen.body, b"ok")
