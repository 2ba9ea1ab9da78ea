"""HTTP/2 to sources, over real sockets: how requests share connections, and what ends them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater

from aprp.config import Http2, RequestBuffering, Settings, SourceSettings, SourcesRoute, Url
from aprp.core.http2.frames import Code
from aprp.core.http2.writing import go_away, reset
from aprp.upstream.http import h2_connection, h2_stream
from aprp.upstream.http.agent import Agent
from aprp.web.site import make_site
from tests.support.client import get, post, reactor
from tests.support.h2_frames import data, headers, settings
from tests.support.h2_origin import Answer, Asked, H2Origin, from_wire, respond
from tests.support.proxied_case import ProxyCase
from tests.support.replies import File, Pattern, Reply, Stall, Step

FILM = Pattern(3_000_000)
BYTES = FILM[0:3_000_000]


def hello(asked: Asked) -> Iterable[Step]:
    return (respond(asked.stream, 200, (), b"hello"),)


def serving(asked: Asked) -> Iterable[Step]:
    """The film, as the windows allow."""
    reply = File(FILM).reply(asked.received)
    steps = list(from_wire(reply.steps(), asked.stream))
    body = b"".join(step[9:] for step in steps[1:] if isinstance(step, bytes))
    head = steps[0]
    assert isinstance(head, bytes)
    yield head
    asked.connection.later(asked.connection.body(asked.stream, body))


class SourceCase(ProxyCase):
    async def upstream(self, answer: Answer = hello, **origin: Any) -> H2Origin:
        made = H2Origin(answer, **origin)
        await made.start()
        self.addCleanup(made.stop)
        return made

    async def before(
        self, answer: Answer = hello, begin: bytes = settings(), **route: Any
    ) -> H2Origin:
        """An origin, and a proxy in front of it."""
        origin = await self.upstream(answer, begin=begin)
        self.port = self.proxy(origin.url, http2=Http2.PRIOR_KNOWLEDGE, **route)
        return origin

    async def at_once(self, count: int, path: bytes = b"/") -> list[int]:
        """The statuses of so many requests at once."""
        asked = [Deferred.fromCoroutine(self.answer_to(self.port, get(path))) for _ in range(count)]
        found: Any = await DeferredList(asked, fireOnOneErrback=True)
        return [answer.status for _, answer in found]


class SharingTests(SourceCase):
    async def test_requests_share_a_connection(self) -> None:
        origin = await self.before()
        self.assertEqual(await self.at_once(1), [200])
        self.assertEqual(await self.at_once(30), [200] * 30)
        self.assertEqual(origin.connections, 1)
        self.assertEqual((self.agent.connections, self.agent.idle), (1, 1))

    async def test_connections_and_streams_are_counted(self) -> None:
        origin = await self.before(lambda asked: (Stall(),))
        first = Deferred.fromCoroutine(self.at_once(3))
        first.addErrback(lambda _: None)
        await self.soon(lambda: len(origin.requests) == 3)
        self.assertEqual(self.agent.http2, (1, 3))
        for stream, asked in zip((1, 3, 5), origin.requests, strict=True):
            self.assertEqual(asked.on, 1)
            next(iter(origin.open)).transport.write(respond(stream, 200, (), b"hello"))
        await first
        self.assertEqual(self.agent.http2, (1, 0))

    async def test_a_source_that_allows_few_gets_more_connections(self) -> None:
        released: list[Asked] = []
        origin = await self.before(
            lambda asked: (released.append(asked), (Stall(),))[1],  # type: ignore[func-returns-value]
            begin=settings(max_concurrent_streams=2),
        )
        waiting = Deferred.fromCoroutine(self.at_once(1))
        await self.soon(lambda: len(released) == 1)
        more = Deferred.fromCoroutine(self.at_once(3))
        await self.soon(lambda: len(released) == 4)
        self.assertEqual(origin.connections, 2)
        for asked in released:
            asked.connection.transport.write(respond(asked.stream, 200, (), b"x"))
        self.assertEqual((await waiting, await more), ([200], [200] * 3))

    async def test_a_paused_client_stops_no_other(self) -> None:
        origin = await self.before(serving)
        paused = await self.client(self.port)
        paused.transport.pauseProducing()
        await paused.send(get(b"/film"))
        await self.soon(lambda: origin.requests)
        for _ in range(3):
            self.assertEqual((await self.answer_to(self.port, get(b"/film"))).body, BYTES)
        paused.transport.resumeProducing()
        answers = await paused.answers([b"GET"])
        self.assertEqual(answers[-1].body, BYTES)
        self.assertEqual(origin.connections, 1)

    async def test_a_client_that_leaves_resets_its_stream_alone(self) -> None:
        origin = await self.before(serving)
        client = await self.client(self.port)
        client.transport.pauseProducing()
        await client.send(get(b"/film"))
        await self.soon(lambda: origin.requests)
        client.transport.resumeProducing()
        await client.until_received(10_000)
        await self.end(client)
        await self.soon(lambda: origin.resets or self.records)
        self.assertEqual((await self.answer_to(self.port, get(b"/film"))).body, BYTES)
        self.assertEqual(origin.connections, 1)

    async def test_requests_with_bodies(self) -> None:
        origin = await self.before()
        body = BYTES[:200_000]
        for buffering in RequestBuffering:
            self.port = self.proxy(
                origin.url, http2=Http2.PRIOR_KNOWLEDGE, request_buffering=buffering
            )
            sent = await self.answer_to(
                self.port, post(b"Content-Length: %d" % len(body), body=body)
            )
            self.assertEqual(sent.status, 200)
            chunked = await self.answer_to(
                self.port,
                post(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
            )
            self.assertEqual(chunked.status, 200)
            self.assertEqual([each.body for each in origin.requests[-2:]], [body, b"hello"])
            names = [name for name, _ in origin.requests[-1].fields]
            self.assertNotIn(b"transfer-encoding", names)
            self.assertNotIn(b"connection", names)

    async def test_a_body_waits_for_windows(self) -> None:
        origin = await self.before(begin=settings(initial_window_size=1000))
        origin.opens = False
        body = BYTES[:5000]

        def opening() -> None:
            for each in origin.open:
                each.transport.write(b"\0\0\4\x08\0\0\0\0\1\0\0\3\xe8")

        request = Deferred.fromCoroutine(
            self.answer_to(self.port, post(b"Content-Length: 5000", body=body))
        )
        while not request.called:
            await self.wait(0.05)
            opening()
        self.assertEqual((await request).status, 200)
        self.assertEqual(origin.requests[0].body, body)


class RefusalTests(SourceCase):
    async def test_a_refused_stream_is_asked_for_again(self) -> None:
        def once(asked: Asked) -> Iterable[Step]:
            if asked.received.number == 1:
                return (reset(asked.stream, Code.REFUSED_STREAM),)
            return hello(asked)

        for request in (get(), post(b"Content-Length: 2", body=b"hi")):
            origin = await self.before(once)
            self.assertEqual((await self.answer_to(self.port, request)).status, 200)
            self.assertEqual(len(origin.requests), 2)

    async def test_one_that_refuses_everything(self) -> None:
        origin = await self.before(lambda asked: (reset(asked.stream, Code.REFUSED_STREAM),))
        self.assertEqual((await self.answer_to(self.port, get())).status, 502)
        self.assertEqual(len(origin.requests), 3)

    async def test_one_that_allows_no_streams_leaves_no_connections(self) -> None:
        origin = await self.before(begin=settings(max_concurrent_streams=0))
        for count in (1, 2):
            self.assertEqual((await self.answer_to(self.port, get())).status, 200)
            await self.soon(lambda: self.agent.connections == 0)
            self.assertEqual(origin.connections, count)

    async def test_what_a_goaway_leaves_out_goes_elsewhere(self) -> None:
        def leaving(asked: Asked) -> Iterable[Step]:
            if asked.received.on == 1:
                return (go_away(0, Code.NO_ERROR),)
            return hello(asked)

        origin = await self.before(leaving)
        self.assertEqual((await self.answer_to(self.port, get())).status, 200)
        self.assertEqual(origin.connections, 2)

    async def test_a_post_that_may_have_been_handled_is_not_sent_again(self) -> None:
        origin = await self.before(lambda asked: (reset(asked.stream, Code.INTERNAL_ERROR),))
        request = post(b"Content-Length: 2", body=b"hi")
        self.assertEqual((await self.answer_to(self.port, request)).status, 502)
        self.assertEqual(len(origin.requests), 1)

    async def test_one_lie_ends_no_other_request(self) -> None:
        waiting: list[Asked] = []

        def lying(asked: Asked) -> Iterable[Step]:
            if asked.received.target == b"/bad":
                return (headers(asked.stream, ((b"x", b"y"),), end=True),)
            waiting.append(asked)
            return (headers(asked.stream, ((b":status", b"200"), (b"content-length", b"4"))),)

        await self.before(lying)
        good = Deferred.fromCoroutine(self.answer_to(self.port, get(b"/good")))
        await self.soon(lambda: waiting)
        self.assertEqual((await self.answer_to(self.port, get(b"/bad"))).status, 502)
        waiting[0].connection.transport.write(data(waiting[0].stream, b"good", end=True))
        self.assertEqual((await good).body, b"good")

    async def test_silence_is_followed_by_a_ping(self) -> None:
        self.patch(h2_connection, "PING_SECONDS", 2.0)
        origin = await self.before(lambda asked: (Stall(),), first_byte_timeout=0.2)
        self.assertEqual((await self.answer_to(self.port, get())).status, 504)
        origin.answer = hello
        self.assertEqual(await self.at_once(1), [200])
        self.assertEqual(origin.connections, 1, "it answered the PING")
        origin.acknowledges, origin.answer = False, lambda asked: (Stall(),)
        self.assertEqual((await self.answer_to(self.port, get())).status, 504)
        origin.answer = hello
        self.assertEqual(await self.at_once(1), [200])
        self.assertEqual(origin.connections, 2)
        await self.soon(lambda: len(origin.open) == 1)

    async def test_one_that_speaks_http1(self) -> None:
        origin = await self.origin(lambda _: Reply(200, (), (b"x",)))
        port = self.proxy(origin.url, http2=Http2.PRIOR_KNOWLEDGE)
        self.assertEqual((await self.answer_to(port, get())).status, 502)


class TransferTests(SourceCase):
    def in_front_of(self, *urls: str, connections: int = 4, **options: Any) -> int:
        sources = tuple(SourceSettings(url=Url.parse(url), connections=connections) for url in urls)
        route = SourcesRoute(path="/film", sources=sources, http2=Http2.PRIOR_KNOWLEDGE, **options)
        self.agent = Agent(reactor)
        self.addCleanup(self.agent.close)
        made = Settings(listen=("tcp:0",), routes=(route,))
        return self.listen(make_site(made, self.agent, self.records.append, reactor))

    async def test_blocks_from_two_sources(self) -> None:
        origins = [await self.upstream(serving, host=f"127.0.0.{n}") for n in (1, 2)]
        port = self.in_front_of(*(f"{each.url}/film" for each in origins))
        self.assertEqual((await self.answer_to(port, get(b"/film"))).body, BYTES)
        for each in origins:
            self.assertLessEqual(each.connections, 2)

    async def test_one_that_goes_away_is_gone_to_again(self) -> None:
        def leaving(asked: Asked) -> Iterable[Step]:
            yield from serving(asked)
            if asked.received.number % 3 == 1:
                yield go_away(asked.stream, Code.NO_ERROR)

        origin = await self.upstream(leaving)
        port = self.in_front_of(f"{origin.url}/film", block_size=262144)
        self.assertEqual((await self.answer_to(port, get(b"/film"))).body, BYTES)

    async def test_a_stream_that_breaks_is_resumed(self) -> None:
        def breaking(asked: Asked) -> Iterable[Step]:
            wanted = asked.received.range
            if asked.received.number > 3 or wanted is None:
                yield from serving(asked)
                return
            head, body, *_ = from_wire(File(FILM).reply(asked.received).steps(), asked.stream)
            assert isinstance(head, bytes) and isinstance(body, bytes)
            yield head + data(asked.stream, body[9:1009])
            yield reset(asked.stream, Code.INTERNAL_ERROR)

        origin = await self.upstream(breaking)
        port = self.in_front_of(f"{origin.url}/film")
        self.assertEqual((await self.answer_to(port, get(b"/film"))).body, BYTES)
        self.assertEqual(len({each.on for each in origin.requests}), origin.connections)

    async def ending_late(self, seconds: float | None) -> tuple[H2Origin, list[int]]:
        """A source that ends its streams so long after their last byte (None: never), once it has
        sent the film; and how many were open with each request."""
        open_now: set[int] = set()
        opened: list[int] = []

        async def end(asked: Asked, body: bytes) -> None:
            await asked.connection.body(asked.stream, body, last=False)
            if seconds is not None:
                await deferLater(reactor, seconds)
                open_now.discard(asked.stream)
                asked.connection.transport.write(data(asked.stream, end=True))

        def late(asked: Asked) -> Iterable[Step]:
            open_now.add(asked.stream)
            opened.append(len(open_now))
            steps = list(from_wire(File(FILM).reply(asked.received).steps(), asked.stream))
            head = steps[0]
            assert isinstance(head, bytes)
            yield head
            body = b"".join(step[9:] for step in steps[1:] if isinstance(step, bytes))
            asked.connection.later(end(asked, body))

        origin = await self.upstream(late, begin=settings(max_concurrent_streams=1))
        port = self.in_front_of(f"{origin.url}/film", connections=1)
        self.assertEqual((await self.answer_to(port, get(b"/film"))).body, BYTES)
        return origin, opened

    async def test_a_stream_counts_until_its_end(self) -> None:
        origin, opened = await self.ending_late(0.05)
        self.assertGreater(len(opened), 1)
        self.assertEqual((max(opened), origin.connections, origin.resets), (1, 1, []))

    async def test_one_without_an_end_is_reset(self) -> None:
        self.patch(h2_stream, "END_SECONDS", 0.05)
        origin, opened = await self.ending_late(None)
        self.assertEqual(origin.connections, 1)
        await self.soon(lambda: len(origin.resets) == len(opened))
        self.assertEqual({code for _, code in origin.resets}, {Code.CANCEL})
