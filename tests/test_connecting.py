"""Transfers whose connections are opened before it's decided what is asked on them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from aprp.core.choices import Redirects
from aprp.core.http.ranges import FromTo, Range
from aprp.core.http.urls import Url
from aprp.upstream.exchange import Origin as Place
from aprp.upstream.http.agent import Agent
from aprp.upstream.tally import UNCOUNTED, SourceTally
from aprp.upstream.transfer.options import TransferOptions, locations
from aprp.upstream.transfer.shared import SharedResources
from aprp.upstream.transfer.transfer import Transfer
from tests.support.eventually import eventually
from tests.support.mirrored_case import BYTES, SIZE, honest, reactor
from tests.support.origin import Origin
from tests.support.replies import Received, Reply, status
from tests.test_transfer import Taker, TransferCase

FAR = 0.2
"""Seconds to a connection."""


class FarAgent(Agent):
    """For which 127.0.0.1 is far away: connections to it are open once something has `begun`."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.begun = False

    async def connect(
        self, origin: Place, timeout: float, tally: SourceTally = UNCOUNTED, lanes: int = 1
    ) -> float | None:
        seconds = await super().connect(origin, timeout, tally, lanes)
        if seconds is None or origin.host != "127.0.0.1":
            return seconds
        await eventually(lambda: self.begun)
        return seconds + FAR


class ConnectingTests(TransferCase):
    async def test_the_nearest_of_unknown_sources_takes_the_head(self) -> None:
        origins = await self.mirrors(honest, honest, rates=(8e6, 8e6))
        agent = FarAgent(reactor)
        self.addCleanup(agent.close)
        shared, taker = SharedResources(agent, reactor), Taker()
        transfer = self.transfer(shared, origins)
        await transfer.begin(FromTo(0))
        self.assertEqual(origins[0].requests, [], "it waited for the far one")
        agent.begun = True
        await transfer.send(Range(0, SIZE), taker)
        self.assertEqual(taker.count, SIZE)
        firsts = [(origin.requests[0].range or (0, 0))[0] for origin in origins]
        self.assertEqual(firsts[1], 0)
        self.assertGreater(firsts[0], 0)
        self.assertGreaterEqual(dict(shared.ratings)[f"{origins[0].url}"].connect or 0.0, FAR)

    async def test_one_that_is_silent_in_tls_keeps_nobody_waiting(self) -> None:
        origins = await self.mirrors(honest, honest)
        urls: list[Origin | str] = [secure(origins[0]) + "/", origins[1]]
        got = await self.ask(self.in_front_of(urls, connect_timeout=1.0), "/f")
        self.assertEqual((got.status, got.body == BYTES), (200, True))
        self.assertEqual(origins[0].requests, [])

    async def test_none_is_open_in_time(self) -> None:
        origins = await self.mirrors(honest)
        port = self.in_front_of([secure(origins[0]) + "/"], connect_timeout=0.1, resume_for=0.5)
        got = await self.ask(port, "/f")
        self.assertEqual(got.status, 504)
        self.assertIn("error=connection_timeout", got.fields["Proxy-Status"])
        self.assertIn(b"did not finish the TLS handshake in time", got.body)

    async def test_leaving_closes_what_is_being_opened(self) -> None:
        origins = await self.mirrors(honest)
        shared = self.shared()
        transfer = Transfer(
            shared, locations([Url.parse(secure(origins[0]) + "/f")]), TransferOptions()
        )
        work = Deferred.fromCoroutine(transfer.begin(FromTo(0)))
        await self.soon(lambda: origins[0].open == 1)
        self.assertEqual(self.agent.connections, 1)
        work.cancel()
        await self.assertFailure(work, CancelledError)
        await self.soon(lambda: origins[0].open == 0)
        self.assertEqual((shared.transfers, shared.connections, self.agent.connections), (0, {}, 0))

    async def test_never_more_than_a_source_may_have(self) -> None:
        """Each that is being opened, is used or waits counts: many transfers begin at once."""
        origins = await self.mirrors(honest, honest, rates=(20e6, 4e6), latency=0.005)
        port = self.in_front_of(origins, connections=2)
        most = self.counted()
        for _ in range(2):
            asked = [
                Deferred.fromCoroutine(self.ask(port, "/f", {"Range": f"bytes={n * 99_000}-"}))
                for n in range(12)
            ]
            for number, each in enumerate(asked):
                self.assertEqual((await each).body, BYTES[number * 99_000 :])
        self.assertEqual(set(most), {origin.url.removeprefix("http://") for origin in origins})
        self.assertLessEqual(max(most.values()), 2)

    def counted(self) -> Counter[str]:
        """Count the connections that the agent has at once, at most, by host and port."""
        there, most = self.agent._there, Counter[str]()
        new = there.new

        def counting(origin: Place) -> Any:
            connection = new(origin)
            where = connection.where
            count = sum(each.where == where and not each._gone for each in there._open)
            most[where] = max(most[where], count)
            return connection

        self.patch(there, "new", counting)
        return most

    async def test_it_is_opened_where_the_source_led_before(self) -> None:
        def elsewhere(received: Received) -> Reply:
            closing = (b"Connection", b"close")
            return status(301, (b"Location", f"{origins[1].url}/f".encode()), closing)

        origins = await self.mirrors(elsewhere, honest)
        shared = self.shared()

        async def reach(url: Url, own: Url) -> Place:
            return Place(url.scheme, url.host, url.port)

        options = TransferOptions(redirects=Redirects.PUBLIC, reach=reach)
        for _ in range(3):
            transfer = Transfer(shared, locations([Url.parse(f"{origins[0].url}/f")]), options)
            taker = Taker()
            await transfer.send(Range(0, 70_000), taker)
            self.assertEqual(taker.count, 70_000)
        self.assertEqual((origins[0].connections, origins[1].connections), (1, 1))
        await origins[1].stop()
        origins[0].answer = honest
        taker = Taker()
        transfer = Transfer(shared, locations([Url.parse(f"{origins[0].url}/f")]), options)
        await transfer.send(Range(0, 70_000), taker)
        self.assertEqual(taker.count, 70_000)


def secure(origin: Origin) -> str:
    """The URL by which TLS is asked of one that doesn't speak it: it never answers."""
    return origin.url.replace("http:", "https:")
