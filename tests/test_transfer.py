"""A transfer by itself: who takes its bytes, who leaves, and what it holds meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import deferLater
from zope.interface import implementer

from aprp.core.http.ranges import FromTo, Range, Suffix
from aprp.core.http.urls import Url
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.upstream.exchange import Timeouts
from aprp.upstream.http.agent import Agent
from aprp.upstream.transfer.failures import TransferFailed
from aprp.upstream.transfer.options import TransferOptions, locations
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.transfer import Transfer
from tests.support.eventually import still
from tests.support.mirrored_case import BYTES, SIZE, MirroredCase, honest, reactor
from tests.support.origin import Origin
from tests.support.replies import File, Pattern, Stall, status

MIB = 1024 * 1024
LARGE = Pattern(64 * MIB)
large = File(LARGE).reply


@implementer(IConsumer)
class Taker:
    """Takes what comes; after `most` bytes it asks for a pause, each time that more came."""

    def __init__(self, most: int | None = None) -> None:
        self.count = 0
        self.hash = hashlib.sha256()
        self.most = most
        self.producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming and self.producer is None
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.count += len(data)
        self.hash.update(data)
        if self.most is not None and self.count >= self.most and self.producer is not None:
            self.producer.pauseProducing()  # what is written last comes when it's unregistered

    def go_on(self, more: int) -> None:
        self.most = self.count + more
        self.producer.resumeProducing()


class TransferCase(MirroredCase):
    def shared(self, memory: int = 512 * MIB) -> SharedResources:
        self.agent = agent = Agent(reactor)
        self.addCleanup(agent.close)
        return SharedResources(agent, reactor, memory)

    def transfer(
        self, shared: SharedResources, origins: Sequence[Origin], **options: Any
    ) -> Transfer:
        urls = [Url.parse(f"{origin.url}/f") for origin in origins]
        transfer = Transfer(shared, locations(urls), TransferOptions(**options))
        self.addCleanup(transfer.abort)
        return transfer


class BytesTests(TransferCase):
    async def test_facts_then_bytes(self) -> None:
        origins = await self.mirrors(honest, honest, rates=(10e6, 10e6))
        transfer = self.transfer(self.shared(), origins)
        facts = await transfer.begin(FromTo(0))
        self.assertEqual((facts.complete, facts.media_type), (SIZE, b"video/mp4"))
        taker = Taker()
        await transfer.send(Range(0, SIZE), taker)
        self.assertEqual(taker.hash.digest(), hashlib.sha256(BYTES).digest())
        self.assertEqual(taker.producer, None)
        self.assertEqual(sum(transfer.received.values()) - transfer.wasted, SIZE)
        starts = [each.range[0] for origin in origins for each in origin.requests if each.range]
        self.assertEqual(starts.count(0), 1, "what was begun is gone on with")
        self.assertEqual(set(transfer.contributors), {origin.url for origin in origins})

    async def test_another_range_than_was_begun(self) -> None:
        transfer = self.transfer(self.shared(), await self.mirrors(honest))
        await transfer.begin(FromTo(0, 100))
        for start, stop in ((1000, 2000), (0, 50), (SIZE - 5, SIZE), (7, 7)):
            taker = Taker()
            await transfer.send(Range(start, stop), taker)
            self.assertEqual(taker.hash.digest(), hashlib.sha256(BYTES[start:stop]).digest())

    async def test_facts_alone(self) -> None:
        origins = await self.mirrors(lambda _: status(500), honest)
        for spec in (None, Suffix(SIZE)):
            facts = await self.transfer(self.shared(), origins).begin(spec)
            self.assertEqual(facts.complete, SIZE)
        self.assertEqual({each.method for each in origins[1].requests}, {b"HEAD"})

    async def test_facts_from_a_source_that_refuses_head(self) -> None:
        def answer(received: Any) -> Any:
            return status(405) if received.method == b"HEAD" else honest(received)

        transfer = self.transfer(self.shared(), await self.mirrors(answer))
        self.assertEqual((await transfer.begin(None)).complete, SIZE)

    async def test_facts_from_the_second_while_the_first_is_silent(self) -> None:
        origins = await self.mirrors(lambda _: [Stall()], honest)
        for_ever = Timeouts(5.0, 600.0, 600.0)  # were they waited for, the test would time out
        facts = await self.transfer(self.shared(), origins, timeouts=for_ever).begin(None)
        self.assertEqual(facts.complete, SIZE)

    async def test_failing_names_every_source(self) -> None:
        origins = await self.mirrors(lambda _: status(404), lambda _: status(403))
        for spec in (FromTo(0), None):
            shared = self.shared()
            transfer = self.transfer(shared, origins)
            with self.assertRaises(TransferFailed) as caught:
                await transfer.begin(spec)
            failed = caught.exception
            self.assertEqual(
                failed.reasons,
                ((origins[0].url, "answered 404"), (origins[1].url, "answered 403")),
            )
            self.assertFalse(failed.missing)
            if spec is not None:
                self.assertEqual(
                    [(each.source, each.reason) for each in shared.left_out], [failed.reasons[1]]
                )

    async def test_a_range_beyond_the_end_is_no_failure(self) -> None:
        transfer = self.transfer(self.shared(), await self.mirrors(honest))
        self.assertEqual((await transfer.begin(FromTo(SIZE + 5))).complete, SIZE)


class LeavingTests(TransferCase):
    async def at_rest(self, origins: Sequence[Origin]) -> None:
        """Nothing more is sent but the little that was left."""
        before = sum(origin.bytes_sent for origin in origins)
        after = await still(lambda: sum(origin.bytes_sent for origin in origins))
        self.assertLess(after - before, MIB)

    async def test_cancelled_while_bytes_come(self) -> None:
        origins = await self.mirrors(large, large, rates=(5e6, 5e6))
        shared = self.shared()
        transfer = self.transfer(shared, origins)
        await transfer.begin(FromTo(0))
        taker = Taker()
        work = Deferred.fromCoroutine(transfer.send(Range(0, len(LARGE)), taker))
        await self.soon(lambda: taker.count > 3 * MIB)
        work.cancel()
        await self.assertFailure(work, CancelledError)
        self.assertEqual((shared.transfers, transfer.held, taker.producer), (0, 0, None))
        await self.at_rest(origins)

    async def test_cancelled_before_a_head_came(self) -> None:
        origins = await self.mirrors(lambda _: [Stall()])
        shared = self.shared()
        work = Deferred.fromCoroutine(self.transfer(shared, origins).begin(FromTo(0)))
        await self.soon(lambda: origins[0].requests)
        work.cancel()
        await self.assertFailure(work, CancelledError)
        await self.soon(lambda: origins[0].open == 0)
        self.assertEqual(shared.transfers, 0)

    async def test_cancelled_while_asked_for_facts(self) -> None:
        origins = await self.mirrors(lambda _: [Stall()], honest)
        transfer = self.transfer(self.shared(), origins)
        work = Deferred.fromCoroutine(transfer.begin(None))
        await self.soon(lambda: origins[0].requests)
        work.cancel()
        await self.assertFailure(work, CancelledError)
        await self.soon(lambda: origins[0].open == 0)
        self.assertEqual(origins[1].requests, [], "nobody wants to know any more")

    async def test_stopped_by_who_watches_it(self) -> None:
        origins = await self.mirrors(large, large)
        shared = self.shared()
        transfer = self.transfer(shared, origins)
        transfer.observe_asked = lambda *_: transfer.abort()
        await self.assertFailure(Deferred.fromCoroutine(transfer.begin(FromTo(0))), Exception)
        self.assertEqual(shared.transfers, 0)
        await still(lambda: [origin.requests for origin in origins], 0.1)
        self.assertEqual([origin.requests for origin in origins], [[], []])

    async def test_a_client_that_leaves_stops_its_attempts(self) -> None:
        origins = await self.mirrors(large, large, rates=(5e6, 5e6))
        client = await self.client(self.in_front_of(origins))
        client.keep = False
        await client.send(b"GET /f HTTP/1.1\r\nHost: h\r\n\r\n")
        await client.until(lambda: client.received > 2 * MIB)
        client.transport.abortConnection()
        await self.at_rest(origins)
        self.assertEqual(self.records[0].ended, "client left")

    async def test_connections_with_little_left_are_kept(self) -> None:
        origins = await self.mirrors(honest)
        shared = self.shared()
        transfer = self.transfer(shared, origins)
        await transfer.begin(FromTo(0, 20_000))
        transfer.abort()
        await still(lambda: origins[0].bytes_sent, 0.1)
        taker = Taker()
        await self.transfer(shared, origins).send(Range(0, 1000), taker)
        self.assertEqual((taker.count, origins[0].connections), (1000, 1))


class MemoryTests(TransferCase):
    async def test_a_paused_taker_is_fetched_for_no_further_than_the_window(self) -> None:
        window = 4 * MIB
        origins = await self.mirrors(large, large)
        scheduling = SchedulingSettings(window=window)
        transfer = self.transfer(self.shared(), origins, scheduling=scheduling)
        await transfer.begin(FromTo(0))
        taker = Taker(most=MIB)
        work = Deferred.fromCoroutine(transfer.send(Range(0, len(LARGE)), taker))
        held = await still(lambda: transfer.held)
        self.assertGreater(held, MIB)
        self.assertLessEqual(held, window)
        self.assertLessEqual(sum(origin.bytes_sent for origin in origins), 3 * window)
        taker.go_on(len(LARGE))
        await work
        self.assertEqual(taker.hash.digest(), hashlib.sha256(LARGE[0 : len(LARGE)]).digest())

    async def test_windows_narrow_when_memory_is_short(self) -> None:
        memory = 32 * MIB
        shared = self.shared(memory)
        origins = await self.mirrors(large, large)
        works, takers, transfers = [], [], []
        for _ in range(10):
            transfer, taker = self.transfer(shared, origins), Taker(most=1)
            await transfer.begin(FromTo(0))
            works.append(Deferred.fromCoroutine(transfer.send(Range(0, 12 * MIB), taker)))
            takers.append(taker)
            transfers.append(transfer)
        held = await still(lambda: sum(transfer.held for transfer in transfers))
        self.assertLess(held, memory * 1.5)
        for taker in takers:
            taker.go_on(len(LARGE))
        for work in works:
            await work
        right = hashlib.sha256(LARGE[0 : 12 * MIB]).digest()
        self.assertEqual({taker.hash.digest() for taker in takers}, {right})

    async def test_fifty_paused_players_and_one_that_watches(self) -> None:
        """The paused ones use up the memory; they may not have so much that one starves."""
        memory = 32 * MIB
        origins = await self.mirrors(large, large)
        port = self.in_front_of(origins, memory=memory)
        clients = [await self.client(port) for _ in range(50)]
        await self.soon(lambda: len(self.site.channels) == len(clients))
        for channel in self.site.channels:  # so that the kernel takes little for each
            channel.transport.socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 4096)
        for client in clients:
            client.transport.socket.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
            client.transport.pauseProducing()
            await client.send(b"GET /f HTTP/1.1\r\nHost: h\r\n\r\n")
        got = await self.ask(port, "/f", {"Range": "bytes=1000000-2999999"})
        self.assertEqual((got.status, got.body == LARGE[1_000_000:3_000_000]), (206, True))
        self.assertEqual(len(self.records), 1, "it waited for one that is paused to end")

    async def test_slow_takers_disturb_nobody(self) -> None:
        origins = await self.mirrors(large, large)
        port = self.in_front_of(origins, connections=2)
        for _ in range(3):
            client = await self.client(port)
            client.keep = False
            await client.send(b"GET /f HTTP/1.1\r\nHost: h\r\n\r\n")
            await client.until_received(1)
            client.transport.pauseProducing()
        got = await self.ask(port, "/f", {"Range": "bytes=0-4999999"})
        self.assertEqual(got.body, LARGE[0:5_000_000])
        self.assertEqual(len(self.records), 1, "it waited for a slow taker to end")


class ManyTests(TransferCase):
    async def test_many_at_once_while_a_mirror_flaps(self) -> None:
        origins = await self.mirrors(honest, honest, honest, rates=(20e6, 20e6, 20e6))
        port = self.in_front_of(origins)
        over = False

        async def flap() -> None:
            while not over:
                await origins[0].stop()
                await deferLater(reactor, 0.05)
                await origins[0].start()
                await deferLater(reactor, 0.05)

        flapping = Deferred.fromCoroutine(flap())
        asked = [
            Deferred.fromCoroutine(self.ask(port, "/f", {"Range": f"bytes={n * 1000}-"}))
            for n in range(20)
        ]
        for number, each in enumerate(asked):
            got = await each
            self.assertEqual((got.whole, got.body == BYTES[number * 1000 :]), (True, True))
        over = True
        await flapping
        self.assertEqual(self.site.in_flight, set())
