"""Mirrors that fail in every way, in front of a client that must not notice.

One mirror is honest, another has the fault, from its first answer on or in the middle.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from tests.support.eventually import eventually
from tests.support.mirrored_case import BYTES, FILM, HONEST, SIZE, MirroredCase, honest, reactor
from tests.support.origin import Origin, Responder
from tests.support.planes import Copied, Spliced
from tests.support.proxied_case import fixed
from tests.support.replies import Close, File, Pattern, Received, Reply, Reset, Stall, status

Fault = Callable[[Received], Any]


def spoilt(change: Callable[[Reply], Reply]) -> Responder:
    """An honest answer that is changed."""
    return lambda received: change(honest(received))


def with_range(text: bytes) -> Responder:
    return spoilt(lambda reply: reply.having((b"Content-Range", text)))


def shifted(received: Received) -> Reply:
    """The bytes before those that were asked, said to be what they are."""
    start, stop = received.range or (0, None)
    fields = tuple(
        (name, b"bytes=%d-%d" % (start + 1, (stop or SIZE) - 1) if name == b"Range" else value)
        for name, value in received.fields
    )
    return HONEST.reply(replace(received, fields=fields))


def other_range(received: Received) -> Reply:
    start, stop = received.range or (0, SIZE)
    return honest(received).having(
        (b"Content-Range", b"bytes %d-%d/%d" % (start + 7, (stop or SIZE) + 6, SIZE))
    )


def unknown_length(received: Received) -> Reply:
    start, stop = received.range or (0, SIZE)
    return honest(received).having(
        (b"Content-Range", b"bytes %d-%d/*" % (start, (stop or SIZE) - 1))
    )


def too_many(received: Received) -> Reply:
    reply = replace(honest(received), framing="chunked")
    return replace(reply, body=(*reply.body, b"and some more"))


def multipart(received: Received) -> Reply:
    kind = (b"Content-Type", b"multipart/byteranges; boundary=x")
    return honest(received).lacking(b"content-range").having(kind)


FAULTS: dict[str, Fault] = {
    "reset before the head": lambda _: [Reset()],
    "closed before the head": lambda _: [Close()],
    "closed within the head": lambda _: [b"HTTP/1.1 206 Par", Close()],
    "reset in the body": spoilt(lambda reply: reply.broken(5000, Reset())),
    "closed short": spoilt(lambda reply: reply.broken(70000, Close())),
    "closed short in chunks": spoilt(
        lambda reply: replace(reply, framing="chunked").broken(70000, Close())
    ),
    "silent before the head": lambda _: [Stall()],
    "silent in the body": spoilt(lambda reply: reply.broken(3000, Stall())),
    "trickling": spoilt(lambda reply: reply.trickled(10, 0.05)),
    "404": lambda _: status(404, body=b"no"),
    "410": lambda _: status(410),
    "403": lambda _: status(403, body=b"no" * 50000),
    "500": lambda _: status(500),
    "429": lambda _: status(429),
    "429 for a while": lambda _: status(429, (b"Retry-After", b"120")),
    "503 for a while": lambda _: status(503, (b"Retry-After", b"60")),
    "503 until then": lambda _: status(
        503,
        (b"Date", b"Thu, 01 Jan 2026 00:00:00 GMT"),
        (b"Retry-After", b"Thu, 01 Jan 2026 00:05:00 GMT"),
    ),
    "503": lambda _: status(503),
    "204": lambda _: status(204),
    "200 for a part": File(FILM, ranges=False).reply,
    "200 without a length": File(FILM, ranges=False, framing="close").reply,
    "a shifted range": shifted,
    "another range claimed": other_range,
    "no Content-Range": spoilt(lambda reply: reply.lacking(b"content-range")),
    "two Content-Ranges": spoilt(
        lambda reply: replace(
            reply, fields=(*reply.fields, (b"Content-Range", b"bytes 0-1/%d" % SIZE))
        )
    ),
    "no complete length": unknown_length,
    "another unit": with_range(b"octets 0-1/2"),
    "too many bytes": too_many,
    "another complete length": File(Pattern(SIZE + 1)).reply,
    "another Last-Modified": File(FILM, last_modified=b"Fri, 02 Jan 2026 00:00:01 GMT").reply,
    "no Last-Modified": File(FILM, last_modified=None).reply,
    "a coded answer": spoilt(lambda reply: reply.having((b"Content-Encoding", b"gzip"))),
    "a multipart answer": multipart,
    "not HTTP": lambda _: [b"SSH-2.0-OpenSSH_9.6\r\n"],
    "416": lambda _: status(416, (b"Content-Range", b"bytes */5")),
    "a redirect elsewhere": lambda _: status(302, (b"Location", b"http://127.0.0.99/f")),
    "a redirect to nowhere": lambda _: status(302),
    "a redirect to itself": lambda _: status(307, (b"Location", b"/f")),
    "two lengths": lambda _: [
        b"HTTP/1.1 206 P\r\nContent-Length: 5\r\nContent-Length: 6\r\n"
        b"Content-Range: bytes 0-4/%d\r\n\r\n12345" % SIZE
    ],
}
PATIENT: dict[str, Any] = {
    "connect_timeout": 2.0,
    "first_byte_timeout": 2.0,
    "between_bytes_timeout": 2.0,
}


class FaultTests(Spliced, MirroredCase):
    not_http = "isn.t HTTP"
    """What is said of a source that doesn't speak HTTP at all."""

    async def one_has(self, fault: Responder, first: bool, rate: float = 30e6) -> None:
        answers = [fault, honest] if first else [honest, fault]
        origins = await self.mirrors(*answers, rates=(rate, rate))
        got = await self.ask(self.in_front_of(origins, **PATIENT), "/f")
        self.assertEqual((got.status, got.whole, len(got.body)), (200, True, SIZE))
        self.assertEqual(got.body, BYTES)
        self.assertEqual([each for o in origins for each in o.malformed], [])

    async def test_a_refused_connection(self) -> None:
        origins = await self.mirrors(honest, honest)
        await origins[0].stop()
        got = await self.ask(self.in_front_of(origins), "/f")
        self.assertEqual(got.body, BYTES)

    async def test_disagreement_goes_by_the_first_bytes(self) -> None:
        longer = Pattern(SIZE + 1)
        origins = await self.mirrors(File(longer).reply, honest, rates=(20e6, 20e6))
        origins[1].latency = 0.1
        got = await self.ask(self.in_front_of(origins), "/f")
        self.assertEqual(got.body, longer[0 : SIZE + 1])

    async def test_all_reasons_are_told_when_no_source_serves(self) -> None:
        broken, strange = fixed(status(503)), fixed([b"nonsense\r\n\r\n"])
        origins = await self.mirrors(broken, honest, strange)
        await origins[1].stop()
        got = await self.ask(self.in_front_of(origins), "/f")
        self.assertEqual(got.status, 502)
        self.assertIn("aprp; error=", got.fields["Proxy-Status"])
        text = got.body.decode()
        for number, why in enumerate(("answered 503", "refused the connection", self.not_http), 1):
            self.assertRegex(text, f"source {number}: [^;]*{why}")

    async def test_urls_of_sources_are_not_told_to_clients(self) -> None:
        (origin,) = await self.mirrors(lambda _: status(404))
        for port in (9, origin.port):
            source = f"http://127.0.0.1:{port}/f?token=secret"
            for method in ("GET", "HEAD"):
                got = await self.ask(self.in_front_of([source], base=""), "/f", method=method)
                self.assertIn(got.status, (404, 502))
                for said in (got.body.decode(), got.fields["Proxy-Status"] or ""):
                    self.assertNotRegex(said, "secret|127\\.0")

    async def test_a_file_that_no_source_has(self) -> None:
        origins = await self.mirrors(lambda _: status(404), lambda _: status(410))
        for method in ("GET", "HEAD"):
            got = await self.ask(self.in_front_of(origins), "/f", method=method)
            self.assertEqual(got.status, 404)

    async def test_a_file_that_every_source_forbids(self) -> None:
        for second, expected in ((403, 403), (404, 502)):
            origins = await self.mirrors(lambda _: status(403), fixed(status(second)))
            for method in ("GET", "HEAD"):
                got = await self.ask(self.in_front_of(origins), "/f", method=method)
                self.assertEqual(got.status, expected)

    async def test_neither_hosts_nor_places_are_told(self) -> None:
        comma = (b"Location", b"http://inner.example:8080/a,b/secret,c")
        (origin,) = await self.mirrors(lambda _: status(302, comma))
        sources = [origin.url + "/", "http://my_nas:8080/"]
        got = await self.ask(self.in_front_of(sources, **PATIENT), "/f")
        self.assertEqual(got.status, 502)
        for said in (got.body.decode(), got.fields["Proxy-Status"] or ""):
            self.assertIn("redirects to another place", said)
            self.assertNotRegex(said, "inner|8080|secret|my_nas|127\\.0")

    async def test_no_source_answers_in_time(self) -> None:
        origins = await self.mirrors(lambda _: [Stall()], lambda _: [Stall()])
        port = self.in_front_of(origins, first_byte_timeout=0.2, resume_for=0.5)
        got = await self.ask(port, "/f")
        self.assertEqual(got.status, 504)

    async def test_a_short_valid_range_is_taken_and_the_rest_asked(self) -> None:
        def short(received: Received) -> Reply:
            start, stop = received.range or (0, SIZE)
            end = min(stop or SIZE, start + 100_000)
            fields = ((b"Range", b"bytes=%d-%d" % (start, end - 1)),)
            return HONEST.reply(replace(received, fields=fields))

        origins = await self.mirrors(short)
        got = await self.ask(self.in_front_of(origins), "/f")
        self.assertEqual(got.body, BYTES)
        self.assertGreaterEqual(len(origins[0].requests), SIZE // 100_000)

    async def test_the_only_source_ignores_ranges(self) -> None:
        origins = await self.mirrors(File(FILM, ranges=False).reply)
        port = self.in_front_of(origins)
        got = await self.ask(port, "/f")
        self.assertEqual(got.body, BYTES)
        self.assertLess(origins[0].bytes_sent, 8 * SIZE)  # two for each connection
        got = await self.ask(port, "/f", {"Range": "bytes=2000000-2000009"})
        self.assertEqual((got.status, got.body), (206, BYTES[2000000:2000010]))

    async def test_a_changed_tag_in_the_middle(self) -> None:
        def changing(received: Received) -> Reply:
            file = HONEST if received.number < 3 else File(Pattern(SIZE, 2), b'"v2"')
            return file.reply(received)

        await self.one_has(changing, first=True)

    async def test_the_only_source_changes_in_the_middle(self) -> None:
        def changing(received: Received) -> Reply:
            file = HONEST if received.number < 3 else File(Pattern(SIZE, 2), b'"v2"')
            return file.reply(received)

        origins = await self.mirrors(changing, rates=(4e6,))
        got = await self.ask(self.in_front_of(origins, resume_for=0.5), "/f")
        self.assertEqual((got.status, got.whole), (200, False))
        self.assertEqual(got.body, BYTES[: len(got.body)])
        await self.soon(lambda: [each.ended for each in self.records] == ["cut"])

    async def test_all_but_one_die_at_random_moments(self) -> None:
        chance = random.Random(5)
        for _ in range(5):
            origins = await self.mirrors(honest, honest, honest, rates=(4e6, 4e6, 4e6))
            deaths = [
                _dying(victim, chance.randrange(1, 500_000)) for victim in chance.sample(origins, 2)
            ]
            got = await self.ask(self.in_front_of(origins), "/f")
            self.assertEqual((got.whole, got.body == BYTES), (True, True))
            self.assertTrue(all(death.called for death in deaths), "a victim outlived the answer")
            await gatherResults(deaths)

    async def test_a_source_that_comes_back(self) -> None:
        origins = await self.mirrors(honest, rates=(4e6,))
        port = self.in_front_of(origins)
        back = _dying(origins[0], 400_000, back_after=0.3)
        got = await self.ask(port, "/f")
        await back
        self.assertEqual((got.whole, got.body == BYTES), (True, True))
        self.assertGreater(self.records[0].resumes, 0)


def _dying(origin: Origin, sent: int, back_after: float | None = None) -> Deferred[None]:
    """Have it die in the middle of an answer, once it has sent so many bytes; perhaps come back."""

    async def die() -> None:
        await eventually(lambda: origin.bytes_sent >= sent, f"{sent} bytes of {origin.url}")
        assert origin.serving, "it dies while nobody listens"
        await origin.stop()
        if back_after is not None:
            await deferLater(reactor, back_after)
            await origin.start()

    return Deferred.fromCoroutine(die())


def _add(name: str, fault: Responder, first: bool) -> None:
    async def test(self: FaultTests) -> None:
        await self.one_has(fault, first)

    where = "from_the_first" if first else "from_the_second"
    setattr(FaultTests, f"test_{where}_{name.replace(' ', '_').replace('-', '_').lower()}", test)


for _name, _fault in FAULTS.items():
    for _first in (True, False):
        if not (_first and _name == "another complete length"):
            _add(_name, _fault, _first)


class MidwayTests(Spliced, MirroredCase):
    """The same faults after two honest answers of that mirror."""


def _add_midway(name: str, fault: Responder) -> None:
    def later(received: Received) -> Any:
        return honest(received) if received.number < 3 else fault(received)

    async def test(self: MidwayTests) -> None:
        origins = await self.mirrors(later, honest, rates=(10e6, 10e6))
        got = await self.ask(self.in_front_of(origins, **PATIENT), "/f")
        self.assertEqual((got.status, got.whole, got.body == BYTES), (200, True, True))

    setattr(MidwayTests, f"test_{name.replace(' ', '_').replace('-', '_').lower()}", test)


for _name, _fault in FAULTS.items():
    _add_midway(_name, _fault)


class CopiedFaultTests(Copied, FaultTests):
    pass


class CopiedMidwayTests(Copied, MidwayTests):
    pass
