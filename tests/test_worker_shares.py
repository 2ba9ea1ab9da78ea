"""What each worker gets, when one is replaced, and how their answers become one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import Metric
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from aprp.config import ConfigFaults, Settings, load_text
from aprp.daemon.listening import CannotServe
from aprp.daemon.workers import merging
from aprp.daemon.workers.messages import Configuration
from aprp.daemon.workers.metrics import MergedMetrics
from aprp.daemon.workers.process import WorkerProcess
from aprp.daemon.workers.record import WorkerPlan
from aprp.daemon.workers.shares import settings_of, share
from aprp.daemon.workers.supervisor import (
    LONGEST,
    SHORTEST,
    SOON,
    Supervisor,
    pause_after,
)
from aprp.web.admin.actions import CannotDo

TEXT = """\
listen: ["tcp:0", "systemd:domain=INET:name=a", "systemd:domain=INET:name=b"]
workers: 2
admin: tcp:0
limits: {connections: 5, connections_per_address: 0}
routes:
  - path: /
    bandwidth: 131073B
    sources:
      - {url: "http://a.example/", connections: 3}
      - {url: "http://b.example/", connections: 3}
"""


def settings() -> Settings:
    return load_text(TEXT, Path("aprp.yaml")).settings


class ShareTests(SynchronousTestCase):
    @given(st.integers(0, 10_000), st.integers(1, 64))
    def test_they_add_up(self, cap: int, count: int) -> None:
        shares = [share(cap, number, count) for number in range(count)]
        self.assertEqual(sum(shares), cap)
        self.assertLessEqual(max(shares) - min(shares), 1)

    def test_settings(self) -> None:
        whole = settings()
        one, two = (settings_of(whole, number, 2) for number in range(2))
        for each in (one, two):  # what they count together
            self.assertEqual((each.memory, each.limits), (whole.memory, whole.limits))
        bandwidths = [each.routes[0].bandwidth for each in (one, two)]
        self.assertEqual(bandwidths, [65537, 65536])
        self.assertEqual(one.listen[0], "tcp:0")
        self.assertEqual(len(set(one.listen)), 3)
        self.assertFalse([where for where in one.listen if "systemd:" in where])
        self.assertEqual((one.admin, one.control), (None, None))
        configuration = Configuration(one, (2, 2, 2), (("127.0.0.1", 1),))
        self.assertEqual(Configuration.unpacked(configuration.packed()), configuration)

    def test_faults(self) -> None:
        for old, new, said in (('"tcp:0"', '"unix:/run/a"', "can't be shared by workers"),):
            with self.assertRaises(ConfigFaults) as caught:
                load_text(TEXT.replace(old, new, 1), Path("aprp.yaml"))
            self.assertIn(said, str(caught.exception))


class PauseTests(SynchronousTestCase):
    def test_it_grows_while_workers_die_at_once(self) -> None:
        self.assertEqual(pause_after(SOON, 8.0), 0.0)
        pauses = [0.0]
        for _ in range(8):
            pauses.append(pause_after(0.1, pauses[-1]))
        self.assertEqual(pauses[1:4], [SHORTEST, 2 * SHORTEST, 4 * SHORTEST])
        self.assertEqual(pauses[-1], LONGEST)


class FakeRequests:
    """A worker that answers at once; `refuses` are the configurations that it can't serve by."""

    def __init__(self, *refuses: str) -> None:
        self.refuses = refuses
        self.by: list[str] = []

    async def ask(self, command: str, packed: str, descriptors: object = ()) -> None:
        if packed in self.refuses:
            raise CannotDo("no")
        self.by.append(packed)


class Packed:
    def __init__(self, name: str) -> None:
        self.packed = lambda: name


def plan(name: str) -> Any:
    return WorkerPlan((Packed(name), Packed(name)), ())  # type: ignore[arg-type]


class ChangeTests(SynchronousTestCase):
    def change(self, *refuses: str) -> list[FakeRequests]:
        """Two workers after a change from old to new; the second refuses these."""
        workers: Any = Supervisor(2, Clock(), *(lambda *_: None,) * 3, lambda: ())
        found = [FakeRequests(), FakeRequests(*refuses)]
        for record, requests in zip(workers.records, found, strict=True):
            record.requests = requests
        workers._plan = plan("old")
        changing = Deferred.fromCoroutine(workers.change(plan("new")))
        if refuses:
            error = self.failureResultOf(changing, CannotServe)
            self.assertEqual(str(error.value), "worker 2: no")
        else:
            self.successResultOf(changing)
        return found

    def test_all_change(self) -> None:
        self.assertEqual([each.by for each in self.change()], [["new"], ["new"]])

    def test_what_one_cannot_do_none_does(self) -> None:
        self.assertEqual([each.by for each in self.change("new")], [["new", "old"], []])


class LinesTests(SynchronousTestCase):
    def test_they_are_passed_on_whole(self) -> None:
        out: list[bytes] = []
        process = WorkerProcess(out.append, out.append, lambda _: None)
        for part in (b"one\ntw", b"o", b"\nthree"):
            process.childDataReceived(1, part)
        self.assertEqual(out, [b"one\n", b"two\n"])


def heard(value: float, up: float) -> list[Any]:
    labels = {"route": "/"}
    return [
        ["aprp_requests", "", "counter", [["aprp_requests_total", labels, value]]],
        ["aprp_source_up", "", "gauge", [["aprp_source_up", labels, up]]],
        ["aprp_transfers", "", "gauge", [["aprp_transfers", {}, value]]],
    ]


class SamplesTests(SynchronousTestCase):
    def values(self, samples: MergedMetrics) -> dict[str, float]:
        return {each.name: each.value for family in samples.collect() for each in family.samples}

    def test_counters_survive_a_worker(self) -> None:
        own = Metric("aprp_build_info", "", "gauge")
        own.add_sample("aprp_build_info", {}, 1)
        samples = MergedMetrics(lambda: [own])
        samples.update(0, heard(3, 1))
        samples.update(1, heard(4, 0))
        both = {"aprp_requests_total": 7, "aprp_source_up": 0, "aprp_transfers": 7}
        self.assertEqual(self.values(samples), both | {"aprp_build_info": 1})
        samples.worker_ended(1)
        samples.update(1, heard(0, 1))
        later = {"aprp_requests_total": 7, "aprp_source_up": 1, "aprp_transfers": 3}
        self.assertEqual(self.values(samples), later | {"aprp_build_info": 1})


class MergingTests(SynchronousTestCase):
    def test_routes(self) -> None:
        def told(count: int, state: str, history: list[int]) -> dict[str, Any]:
            source = {
                "source": "s",
                "state": state,
                "latency": 0.1 * count,
                "errors": {"tls": count},
                "failures": count,
                "last_error": None,
                "out_of_service": "drained" if count == 3 else None,
                "http": None,
                "parked_until": None,
            } | dict.fromkeys(("requests", "received", "bytes_per_second", "connections"), count)
            route = {"path": "/", "history": history, "sources": [source]}
            counts = dict.fromkeys(("requests", "running", "sent", "bytes_per_second"), count)
            return {
                "not_ready": [],
                "requests": count,
                "transfers": 0,
                "clients": count,
                "connections": 2 * count,
                "memory": {"held": count, "limit": 9},
                "http2": {"clients": {"connections": 1, "streams": count}},
                "routes": [route | counts],
                "sources": [],
                "out_of_service": {},
                "left_out": [],
                "problems": [
                    {
                        "at": f"{count}1",
                        "first": f"{count}0",
                        "count": count,
                        "route": "/",
                        "source": "s",
                        "kind": kind,
                    }
                    for kind in ("tls", str(count))
                ],
            }

        merged = merging.status([told(1, "ok", [5]), told(3, "down", [1, 2])])
        (route,) = merged["routes"]
        self.assertEqual((merged["requests"], merged["memory"]), (4, {"held": 4, "limit": 9}))
        self.assertEqual((route["sent"], route["history"]), (4, [1, 7]))
        self.assertEqual((merged["clients"], merged["connections"]), (4, 8))
        self.assertEqual(merged["http2"], {"clients": {"connections": 2, "streams": 4}})
        (source,) = route["sources"]
        self.assertEqual((source["state"], source["errors"]), ("down", {"tls": 4}))
        self.assertEqual(source["out_of_service"], "drained")
        self.assertEqual((source["share"], source["latency"]), (1.0, 0.25))
        problems = [(each["kind"], each["at"], each["count"]) for each in merged["problems"]]
        self.assertEqual(problems, [("tls", "31", 4), ("3", "31", 3), ("1", "11", 1)])
        self.assertEqual(merged["problems"][0]["first"], "10")

    def test_sources_as_aprp_ctl_shows_them(self) -> None:
        def told(state: str, rate: int, error: str | None) -> list[dict[str, Any]]:
            return [
                {
                    "source": "s",
                    "state": state,
                    "out_of_service": None,
                    "connections": 1,
                    "bytes_per_second": rate,
                    "latency": None,
                    "failures": 0 if error is None else 4,
                    "last_error": error,
                }
            ]

        (merged,) = merging.control_sources([told("ok", 5, None), told("down", 2, "refused")])
        self.assertEqual((merged["state"], merged["last_error"]), ("down", "refused"))
        self.assertEqual((merged["bytes_per_second"], merged["connections"]), (7, 2))

    def test_workers_with_what_they_say_of_themselves(self) -> None:
        listed: list[dict[str, Any]] = [
            {"number": number, "state": state}
            for number, state in ((1, "serving"), (2, "serving"), (3, "starting"))
        ]
        counts = {"requests": 5, "transfers": 4, "clients": 3, "connections": 2}
        first, second, third = merging.workers(
            listed, {0: counts | {"memory": {"resident": 7, "held": 1}, "routes": []}}
        )
        self.assertEqual(first, {"number": 1, "state": "serving", "memory": 7} | counts)
        self.assertEqual((second["state"], second["requests"]), ("silent", None))
        self.assertEqual((third["state"], third["memory"]), ("starting", None))
