"""The library in scripts, threads, children and coroutines."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase

import aprp
from aprp.library.downloader import DelayRequestAlgorithm, Downloader, DuplicateRequestAlgorithm
from aprp.library.open_transfer import open_transfer, shared_by
from aprp.upstream.errors import BodyBroken
from aprp.upstream.http.names import SystemNames
from tests.support.eventually import eventually, turns
from tests.support.mirrored_case import BYTES, SIZE, honest, reactor
from tests.support.replies import Close, File, Pattern, Received, Reply
from tests.support.scripted import ROOT, ScriptCase

DIGEST = hashlib.sha256(BYTES).hexdigest()
LARGE = Pattern(40 * 1024 * 1024)


def large(received: Received) -> Reply:
    return File(LARGE).reply(received)


def missing(received: Received) -> Reply:
    return Reply(404)


def dying(received: Received) -> Reply:
    """The first answer breaks, and then there is no such file any more."""
    if received.number > 1:
        return Reply(404)
    return honest(received).broken(10**5, Close())


class NameTests(SynchronousTestCase):
    def test_public_names(self) -> None:
        self.assertIs(aprp.Downloader, Downloader)
        self.assertIs(aprp.RequestsDownloader, Downloader)
        self.assertIs(aprp.open_transfer, open_transfer)
        self.assertIn("Downloader", dir(aprp))
        self.assertRaises(AttributeError, lambda: aprp.nothing)

    def test_names_are_loaded_when_used(self) -> None:
        code = "import sys, aprp; a = 'twisted' in sys.modules; aprp.Downloader\n"
        code += "print(a, 'twisted' in sys.modules, 'twisted.internet.reactor' in sys.modules)"
        out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        self.assertEqual(out.stdout.split(), ["False", "True", "False"], out.stderr)

    def test_algorithms(self) -> None:
        names = [each.name for each in DelayRequestAlgorithm]
        self.assertEqual(names, ["ADAPTIVE", "NORMAL", "DIFF", "INV", "STATIC"])
        names = [each.name for each in DuplicateRequestAlgorithm]
        self.assertEqual(names, ["ADAPTIVE", "NIBIB", "IBRC"])

    def test_what_cannot_be_used(self) -> None:
        for urls, options in (
            ([], {}),
            ("http://a/x", {}),
            (["ftp://a/x"], {}),
            (["a/x"], {}),
            (["http://a/x"], {"window": "no size"}),
            (["http://a/x"], {"delay_req_algo": "sideways"}),
            (["http://a/x"], {"verify": "/none.pem"}),
            (["http://a/x"], {"unknown": 1}),
        ):
            with self.assertRaises((ValueError, TypeError), msg=str((urls, options))):
                Downloader(urls, **options)

    def test_settings_by_their_older_names(self) -> None:
        downloader = Downloader(
            iter(["http://a/x", "http://b/x"]),
            split_size=10**6,
            delay_req_algo=DelayRequestAlgorithm.STATIC,
            static_delay_req_vals={"http://b/x": 7},
            enable_dup_req=False,
            dup_req_algo=DuplicateRequestAlgorithm.IBRC,
            invalid_block_count_threshold=30,
        )
        told = downloader._fetch_request
        scheduling = told.rules.scheduling
        self.assertEqual((scheduling.delay, scheduling.duplicate), ("static", "off"))
        self.assertEqual((scheduling.block_size, scheduling.duplicate_threshold), (10**6, 30))
        self.assertEqual([each.source.static_delay for each in told.locations], [0, 7])
        self.assertEqual(told.rules.same, "length")
        self.assertEqual((scheduling.leave_late, scheduling.initial_delay), (False, 10))
        for options, initial in (({"init_delay_coef": 3}, 3), ({"enable_init_delay": False}, 0)):
            told = Downloader(["http://a/x"], close_bad_conn=True, **options)._fetch_request
            scheduling = told.options(SystemNames(MemoryReactorClock())).scheduling
            self.assertEqual((scheduling.leave_late, scheduling.initial_delay), (True, initial))
        least = Downloader(["http://a/x"], invalid_block_threshold=3)
        self.assertEqual(least._fetch_request.rules.scheduling.duplicate_threshold, 20)


class ScriptTests(ScriptCase):
    async def urls(self, *answers: Any, **options: Any) -> list[str]:
        self.origins = await self.mirrors(*answers, **options)
        return [origin.url + "/f" for origin in self.origins]

    async def nothing_left(self) -> None:
        await eventually(lambda: not any(each.open for each in self.origins), "still open")

    async def test_every_algorithm_gives_the_same_bytes(self) -> None:
        out = await self.script(
            """
            import hashlib, sys
            from aprp import Downloader, DelayRequestAlgorithm, DuplicateRequestAlgorithm
            for delay in DelayRequestAlgorithm:
                for duplicate in DuplicateRequestAlgorithm:
                    d = Downloader(sys.argv[1:], delay_req_algo=delay, dup_req_algo=duplicate,
                                   split_size=2**17)
                    print(hashlib.sha256(b"".join(d)).hexdigest(), len(d))
            """,
            *await self.urls(honest, honest, honest),
        )
        self.assertEqual(set(out.splitlines()), {f"{DIGEST} {SIZE}"})

    async def test_length_context_next_and_trace(self) -> None:
        urls = await self.urls(honest, honest)
        out = await self.script(
            """
            import json, sys
            from aprp import RequestsDownloader
            with RequestsDownloader(sys.argv[1:], enable_trace_log=True, split_size=10**5) as d:
                before = len(d), d.length, bool(d)
                n = len(next(d)) + sum(map(len, d.generator()))
                print(json.dumps([before, n, next(d, None), d.get_trace_log()]))
            print(RequestsDownloader(sys.argv[1:]).get_trace_log())
            """,
            *urls,
        )
        told, untold = out.splitlines()
        before, count, after, (sent, received, delays) = json.loads(told)
        self.assertEqual((before, count, after), ([SIZE, SIZE, True], SIZE, None))
        self.assertEqual(untold, "None")
        blocks = sorted(block for _, block, _ in received)
        self.assertEqual(blocks, list(range(-(-SIZE // 10**5))))
        self.assertTrue(sent and all(host.startswith("127.0.0.") for _, _, host in sent))
        self.assertTrue(set(delays) <= set(urls) and all(each >= 0 for each in delays.values()))

    async def test_threads(self) -> None:
        out = await self.script(
            """
            import hashlib, sys, threading
            from aprp import Downloader
            def get():
                parts = Downloader(sys.argv[1:])
                print(hashlib.sha256(b"".join(parts)).hexdigest() + "\\n", end="")
            threads = [threading.Thread(target=get) for _ in range(8)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            """,
            *await self.urls(honest, honest),
        )
        self.assertEqual(out.splitlines(), [DIGEST] * 8)
        await self.nothing_left()

    async def test_children_before_and_after_it_was_used(self) -> None:
        out = await self.script(
            """
            import hashlib, os, sys, threading
            from aprp import Downloader
            def get():
                print(hashlib.sha256(b"".join(Downloader(sys.argv[1:]))).hexdigest(), flush=True)
            def child():
                pid = os.fork()
                if not pid:
                    get()
                    if os.fork():
                        os.wait()
                    else:
                        get()
                    os._exit(0)
                os.waitpid(pid, 0)
            child(); get(); child(); get()
            thread = threading.Thread(target=child)
            thread.start(); thread.join()
            begun = Downloader(sys.argv[1:]); next(begun)
            if not os.fork():
                try:
                    next(begun)
                except RuntimeError as error:
                    print(error, flush=True)
                os._exit(0)
            os.wait()
            """,
            *await self.urls(honest, honest),
        )
        last = "this Downloader was started before the fork; create one in the child"
        self.assertEqual(out.splitlines(), [*[DIGEST] * 8, last])

    async def test_a_failure_names_every_source(self) -> None:
        out = await self.script(
            """
            import sys
            from aprp import Downloader, TransferFailed
            try:
                list(Downloader(sys.argv[1:], resume_for="200ms"))
            except TransferFailed as error:
                print(error)
                print(len(error.reasons))
            """,
            *await self.urls(missing),
            "http://127.0.0.1:1/f",
        )
        said, count = out.splitlines()
        self.assertIn(f"{self.origins[0].url}: answered 404", said)
        self.assertIn("http://127.0.0.1:1: 127.0.0.1:1 refused the connection", said)
        self.assertEqual(count, "2")

    async def test_a_failure_is_no_end(self) -> None:
        """However it's asked, and as often as it's asked: after a failure none of it is an end."""
        out = await self.script(
            """
            import sys
            from aprp import Downloader, TransferFailed
            def told(work):
                try:
                    print(work())
                except TransferFailed:
                    print("failed")
            gone, dying = sys.argv[1:]
            d = Downloader([gone], resume_for="200ms")
            for work in (lambda: len(d), lambda: len(d), lambda: next(d), lambda: list(d)):
                told(work)
            d = Downloader([dying], resume_for="200ms")
            for work in (lambda: list(d.generator()), lambda: list(d), lambda: next(d)):
                told(work)
            d.close()
            told(lambda: list(d))
            """,
            *await self.urls(missing, dying),
        )
        self.assertEqual(out.split(), ["failed"] * 8)

    async def test_parts_before_a_failure_are_right(self) -> None:
        out = await self.script(
            """
            import hashlib, sys
            from aprp import Downloader, TransferFailed
            got = b""
            try:
                for part in Downloader(sys.argv[1:], resume_for="200ms"):
                    got += part
            except TransferFailed as error:
                print(len(got), hashlib.sha256(got).hexdigest())
            """,
            *await self.urls(dying),
        )
        count, digest = out.split()
        self.assertTrue(int(count) < SIZE)
        self.assertEqual(hashlib.sha256(BYTES[: int(count)]).hexdigest(), digest)

    async def test_a_slow_reader_costs_no_more_than_the_window(self) -> None:
        await self.script(
            """
            import sys, time
            from aprp import Downloader
            d = Downloader(sys.argv[1:], window="2MiB")
            for _ in range(5):
                next(d)
                transfer = d._reading.transfer
                while transfer._driver.used() > transfer.held:  # more is in flight
                    assert transfer.held <= 2 * 2**20, transfer.held
                    time.sleep(0.01)
            """,
            *await self.urls(large, large),
        )
        sent = sum(origin.bytes_sent for origin in self.origins)
        self.assertTrue(sent < 20 * 2**20, sent)

    async def test_a_reader_that_leaves_leaves_nothing(self) -> None:
        """Closed, dropped, left by an exception, or never begun."""
        out = await self.script(
            """
            import gc, sys, time
            from aprp import Downloader
            from aprp.library.open_transfer import shared_by
            first = Downloader(sys.argv[1:]).generator(); next(first); first.close()
            second = Downloader(sys.argv[1:]).generator(); next(second); del second
            third = Downloader(sys.argv[1:]); len(third); del third
            fourth = Downloader(sys.argv[1:]).generator(); fourth.close()
            try:
                with Downloader(sys.argv[1:]) as fifth:
                    raise KeyError(next(fifth))
            except KeyError:
                pass
            gc.collect()
            from twisted.internet import reactor
            shared = shared_by(reactor)
            while shared.transfers:
                time.sleep(0.01)
            print(shared.transfers)
            """,
            *await self.urls(large, large, rates=(5e6, 5e6)),
        )
        self.assertEqual(out, "0\n")
        await self.nothing_left()

    async def test_beside_a_reactor_that_runs_already(self) -> None:
        urls = await self.urls(honest, honest)

        def get() -> bytes:
            return b"".join(Downloader(urls))

        self.addCleanup(shared_by(reactor).agent.close)
        self.assertTrue(await deferToThread(get) == BYTES)
        self.assertRaises(RuntimeError, next, Downloader(urls))


class CoroutineTests(ScriptCase):
    async def urls(self, *answers: Any, **options: Any) -> list[str]:
        self.origins = await self.mirrors(*answers, **options)
        self.addCleanup(shared_by(reactor).agent.close)
        return [origin.url + "/f" for origin in self.origins]

    async def test_the_whole_file(self) -> None:
        got = b""
        async with open_transfer(await self.urls(honest, honest), same="length") as reading:
            self.assertEqual(reading.facts.complete, SIZE)
            self.assertEqual(reading.facts.media_type, b"video/mp4")
            async for part in reading:
                got += part
        self.assertTrue(got == BYTES)

    async def test_a_part_of_it(self) -> None:
        parts = open_transfer(await self.urls(honest), start=1000, stop=2000000)
        self.assertTrue(b"".join([part async for part in parts]) == BYTES[1000:2000000])

    async def test_beyond_the_end(self) -> None:
        urls = await self.urls(honest)
        with self.assertRaisesRegex(Exception, f"the file has {SIZE} bytes, none in"):
            async for _ in open_transfer(urls, start=SIZE):
                self.fail("a part of nothing")

    async def test_an_empty_file(self) -> None:
        urls = await self.urls(lambda received: File(b"").reply(received))
        self.assertEqual([part async for part in open_transfer(urls)], [])

    async def test_a_range_that_is_none(self) -> None:
        for start, stop in ((-1, None), (5, 5), (6, 5)):
            with self.assertRaises(ValueError):
                open_transfer(["http://a/x"], start=start, stop=stop)

    async def test_leaving_stops_everything(self) -> None:
        urls = await self.urls(large, large, rates=(5e6, 5e6))
        async with open_transfer(urls) as reading:
            async for _ in reading:
                break
        self.assertEqual(shared_by(reactor).transfers, 0)
        parts = open_transfer(urls)
        await parts.__anext__()
        del parts
        await eventually(lambda: shared_by(reactor).transfers == 0, "still going on")

    async def test_it_waits_for_its_reader(self) -> None:
        urls = await self.urls(large)
        async with open_transfer(urls, window="1MiB") as reading:
            await reading.__anext__()
            await turns(0.3)
            held = reading.transfer.held
            self.assertTrue(0 < held <= 2**20, held)

    async def test_a_failure_in_the_middle(self) -> None:
        urls = await self.urls(dying)
        got = b""
        with self.assertRaises(aprp.TransferFailed):
            async for part in open_transfer(urls, resume_for="200ms"):
                got += part
        self.assertTrue(got == BYTES[: len(got)])

    async def test_an_end_before_the_end_is_never_taken_for_it(self) -> None:
        reading = open_transfer(await self.urls(honest))
        await reading.begin()

        async def too_little(wanted: object, basket: Any) -> None:
            basket.write(BYTES[:10])

        self.patch(reading.transfer, "send", too_little)
        self.assertEqual(await reading.read(), BYTES[:10])
        with self.assertRaises(BodyBroken):
            await reading.read()
        reading.abort()

    async def test_a_failure_is_raised_again(self) -> None:
        reading = open_transfer(await self.urls(missing), resume_for="200ms")
        for _ in range(3):
            with self.assertRaises(aprp.TransferFailed):
                await reading.__anext__()
        with self.assertRaises(aprp.TransferFailed):
            await reading.begin()

    async def test_what_was_cancelled_before_its_first_byte_is_no_end(self) -> None:
        (origin,) = await self.mirrors(honest, latency=60.0)
        reading = open_transfer([origin.url + "/f"])
        self.addCleanup(shared_by(reactor).agent.close)
        waiting = Deferred.fromCoroutine(reading.__anext__())
        waiting.cancel()
        with self.assertRaises(CancelledError):
            await waiting
        for _ in range(2):
            with self.assertRaises(BodyBroken):
                await reading.__anext__()

    async def test_what_was_cancelled_or_left_is_no_end(self) -> None:
        urls = await self.urls(large, rates=(1e6,))
        cancelled, left = open_transfer(urls), open_transfer(urls)
        await cancelled.__anext__()
        waiting = Deferred.fromCoroutine(cancelled.__anext__())
        while waiting.called:
            waiting = Deferred.fromCoroutine(cancelled.__anext__())
        waiting.cancel()
        with self.assertRaises(CancelledError):
            await waiting
        async with left:
            await left.__anext__()
        for reading in (cancelled, cancelled, left, left):
            with self.assertRaises(BodyBroken):
                await reading.__anext__()

    async def test_the_end_stays_the_end(self) -> None:
        reading = open_transfer(await self.urls(honest))
        self.assertTrue(b"".join([part async for part in reading]) == BYTES)
        self.assertEqual([part async for part in reading], [])

    async def test_asyncio(self) -> None:
        """Tasks, a cancelled one, and a Twisted coroutine begun within one."""
        out = await self.script(
            """
            import asyncio, hashlib, sys
            from twisted.internet import asyncioreactor
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            asyncioreactor.install(loop)
            from twisted.internet import reactor
            from twisted.internet.defer import Deferred
            import aprp
            from aprp.library.open_transfer import shared_by

            async def digest():
                found = hashlib.sha256()
                async with aprp.open_transfer(sys.argv[1:]) as parts:
                    async for part in parts:
                        found.update(part)
                print(found.hexdigest(), flush=True)

            async def leave(begun):
                async for part in aprp.open_transfer(sys.argv[1:]):
                    begun.set()
                    await asyncio.sleep(60)

            async def main():
                await asyncio.gather(digest(), digest())
                await Deferred.fromCoroutine(digest()).asFuture(loop)
                begun = asyncio.Event()
                task = asyncio.ensure_future(leave(begun))
                await begun.wait()
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    pass
                del task
                while shared_by(reactor).transfers:
                    await asyncio.sleep(0.01)
                print(shared_by(reactor).transfers, flush=True)
                reactor.stop()

            reactor.callWhenRunning(lambda: asyncio.ensure_future(main()))
            Deferred.fromCoroutine(digest())
            reactor.run()
            """,
            *await self.urls(honest, honest),
        )
        self.assertEqual(out.splitlines(), [*[DIGEST] * 4, "0"])

    async def test_plain_asyncio(self) -> None:
        """No reactor of the program's own: asyncio.run(), twice, with failures and a cancel."""
        out = await self.script(
            """
            import asyncio, hashlib, sys
            import aprp

            async def digest():
                found = hashlib.sha256()
                async with aprp.open_transfer(sys.argv[1:]) as parts:
                    async for part in parts:
                        found.update(part)
                print(found.hexdigest(), flush=True)

            async def leave(begun):
                async for part in aprp.open_transfer(sys.argv[1:]):
                    begun.set()
                    await asyncio.sleep(60)

            async def main():
                await asyncio.gather(digest(), digest())
                begun = asyncio.Event()
                task = asyncio.ensure_future(leave(begun))
                await begun.wait()
                task.cancel()
                print([type(each).__name__ for each in
                       await asyncio.gather(task, return_exceptions=True)])
                try:
                    await anext(aiter(aprp.open_transfer(["http://127.0.0.1:1/x"])))
                except aprp.TransferFailed as error:
                    print(type(error).__name__)

            asyncio.run(main())
            asyncio.run(main())
            """,
            *await self.urls(honest, honest),
        )
        once = [DIGEST, DIGEST, "['CancelledError']", "TransferFailed"]
        self.assertEqual(out.splitlines(), once * 2)

    async def test_an_asyncio_reactor_that_does_not_run_is_an_error_at_once(self) -> None:
        out = await self.script(
            """
            import asyncio
            from twisted.internet import asyncioreactor
            loop = asyncio.new_event_loop()
            asyncioreactor.install(loop)
            import aprp

            async def main():
                try:
                    await anext(aiter(aprp.open_transfer(["http://127.0.0.1:1/x"])))
                except RuntimeError as error:
                    print(error)

            loop.run_until_complete(main())
            """
        )
        self.assertIn("start it with reactor.run()", out)
