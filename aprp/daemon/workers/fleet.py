"""The workers as one daemon: what the admin port and `aprp ctl` show and do."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from twisted.web.resource import Resource
from twisted.web.server import Request

import aprp
from aprp.daemon.cache_commands import of_workers
from aprp.daemon.commands import check_level, done_or_refused
from aprp.daemon.logging import Logs
from aprp.daemon.workers import merging
from aprp.daemon.workers.metrics import MergedMetrics
from aprp.daemon.workers.sharing import SharedFindings
from aprp.daemon.workers.supervisor import Supervisor
from aprp.upstream.wall_clock import time
from aprp.web.admin.actions import CannotDo, Handler
from aprp.web.admin.events import Events
from aprp.web.admin.metrics import CONTENT_TYPE
from aprp.web.admin.overview import Health
from aprp.web.admin.reloads import ReloadOutcome
from aprp.web.admin.site import ComputedPage, tree_of
from aprp.web.admin.snapshot import to_line

NOBODY = "no worker answers; the log says why"


class Fleet:
    """Runs commands in all workers, and merges their answers."""

    def __init__(
        self,
        health: Health,
        workers: Supervisor,
        logs: Logs,
        addresses: Callable[[], list[str]],
        reload: Callable[[], Awaitable[ReloadOutcome]],
        clock: Any,
    ) -> None:
        self._health = health
        self._workers = workers
        self._logs = logs
        self._addresses = addresses
        self._reload = reload
        self._loaded_at = time()
        self._own = CollectorRegistry()
        ProcessCollector(registry=self._own)
        GCCollector(registry=self._own)
        self.merged = MergedMetrics(self._own_metrics)
        self._registry = CollectorRegistry()
        self._registry.register(self.merged)
        self.findings = SharedFindings(workers, clock)
        self.drained: set[str] = set()
        """The names of the sources that are drained."""
        self._level: str | None = None

    # The admin port

    def tree(self, clock: Any) -> Resource:
        """The tree of the admin port."""
        text, document = "text/plain; charset=utf-8", "application/json"
        return tree_of(
            {
                b"events": Events(self, clock),
                b"status": ComputedPage(document, self._status),
                b"healthz": ComputedPage(text, self._healthz),
                b"readyz": ComputedPage(text, self._readyz),
                b"metrics": ComputedPage(CONTENT_TYPE, self._metrics),
            },
            self.handlers(),
        )

    async def make(self) -> bytes:
        """Return what the page shows, as JSON in one line."""
        merged = await self._merged("page", merging.page)
        return to_line(merged)

    async def _status(self, request: Request) -> bytes:
        merged = await self._merged("admin-status", merging.status)
        return json.dumps(merged, indent=1).encode() + b"\n"

    async def _merged(self, command: str, merge: Callable[[list[Any]], Any]) -> dict[str, Any]:
        """Return the merged answers of all workers, and the list of workers."""
        answers = dict(await self._workers.ask(command))
        merged: dict[str, Any] = merge(list(answers.values())) if answers else self._nothing()
        about = self._about()
        return merged | about | {"workers": merging.workers(about["workers"], answers)}

    def _healthz(self, request: Request) -> bytes:
        if self._health.state != "serving":
            request.setResponseCode(503)
        return f"{self._health.state}\n".encode()

    async def _readyz(self, request: Request) -> bytes:
        reasons: list[str] = [self._health.state]
        if self._health.state == "serving":
            answers = await self._ask("admin-status")
            reasons = merging.status(answers)["not_ready"] if answers else [NOBODY]
        if reasons:
            request.setResponseCode(503)
        return "".join(f"{reason}\n" for reason in reasons or ["ready"]).encode()

    async def _metrics(self, request: Request) -> bytes:
        for number, families in await self._workers.ask("metrics"):
            self.merged.update(number, families)
        return generate_latest(self._registry)

    def _own_metrics(self) -> list[Metric]:
        reload = self._health.reload
        build = GaugeMetricFamily("aprp_build_info", "1, with the version", labels=["version"])
        build.add_metric([aprp.__version__], 1)
        dropped = CounterMetricFamily(
            "aprp_log_lines_dropped",
            "Lines that a log dropped because they couldn't be written",
            labels=["log"],
        )
        for log, count in self._logs.dropped().items():
            dropped.add_metric([log], count)
        return [
            *self._own.collect(),
            build,
            dropped,
            GaugeMetricFamily(
                "aprp_config_last_reload_successful",
                "1 if the last reload of the configuration was made, 0 if it was refused",
                1 if reload is None or reload.ok else 0,
            ),
            GaugeMetricFamily(
                "aprp_config_last_reload_success_timestamp_seconds",
                "When the configuration in use was loaded",
                self._loaded_at,
            ),
            GaugeMetricFamily(
                "aprp_workers", "Workers that serve", sum(s.serving for s in self._workers.records)
            ),
            CounterMetricFamily(
                "aprp_worker_restarts",
                "Workers that died and were replaced",
                self._workers.restarts,
            ),
        ]

    def reloaded(self, outcome: ReloadOutcome) -> None:
        """Note the outcome of a reload."""
        self._health.reload = outcome
        if outcome.ok:
            self._loaded_at = outcome.at
            self._level = None

    def commanded(self) -> list[tuple[str, str]]:
        """Return the commands that bring a new worker to the state of the others."""
        level = [] if self._level is None else [("log-level", self._level)]
        drained = [("drain", name) for name in sorted(self.drained)]
        return [*drained, *level, *self.findings.commands()]

    def _about(self) -> dict[str, Any]:
        reload = self._health.reload
        return {
            "version": aprp.__version__,
            "state": self._health.state,
            "reload": None if reload is None else reload.json(),
            "workers": self._workers.listed(),
            "worker_restarts": self._workers.restarts,
        }

    def _nothing(self) -> dict[str, Any]:
        """The state that is shown while no worker answers."""
        lists = ("routes", "sources", "left_out", "problems", "running", "brief")
        none: dict[str, Any] = {
            "requests": 0,
            "transfers": 0,
            "others": 0,
            "at": time(),
            "out_of_service": {},
        }
        none |= {"clients": 0, "connections": 0, "not_ready": [NOBODY]}
        memory = dict.fromkeys(("held", "used", "limit", "resident"), 0)
        return {name: [] for name in lists} | none | {"memory": memory, "cache": None}

    # aprp ctl

    def handlers(self) -> dict[str, Handler]:
        """Return the commands by name."""
        return {
            "status": self._control_status,
            "sources": self._sources,
            "transfers": self._transfers,
            "drain": lambda source: self._service("drain", source),
            "resume": lambda source: self._service("resume", source),
            "reload": self._reload_now,
            "log-level": self._log_level,
            **of_workers(self._first, self._ask),
        }

    async def _control_status(self) -> dict[str, Any]:
        merged = merging.control_status(await self._answers("status"))
        return merged | {"pid": os.getpid(), "addresses": self._addresses()} | self._about()

    async def _sources(self) -> list[dict[str, Any]]:
        return merging.control_sources(await self._answers("sources"))

    async def _transfers(self) -> list[dict[str, Any]]:
        return [each for answer in await self._answers("transfers") for each in answer]

    async def _service(self, command: str, source: str) -> dict[str, Any]:
        result = merging.service(await self._answers(command, source))
        if command == "drain":
            self.drained.add(result["source"])
        else:
            self.drained.discard(result["source"])
        return result

    async def _reload_now(self) -> dict[str, Any]:
        return done_or_refused(await self._reload())

    async def _log_level(self, level: str) -> dict[str, Any]:
        check_level(level)
        self._logs.change_level(level)
        self._level = level
        await self._ask("log-level", level)
        return {"level": level}

    async def _ask(self, command: str, *arguments: str) -> list[Any]:
        return [result for _, result in await self._workers.ask(command, *arguments)]

    async def _first(self, command: str, *arguments: str) -> Any:
        """Return what the first worker answers; raise `CannotDo` if it doesn't."""
        answer = await self._workers.ask_one(0, command, *arguments)
        if answer is None:
            raise CannotDo(NOBODY)
        return answer

    async def _answers(self, command: str, *arguments: str) -> list[Any]:
        """Return what the workers answer; raise `CannotDo` if none does."""
        answers = await self._ask(command, *arguments)
        if not answers:
            raise CannotDo(NOBODY)
        return answers
