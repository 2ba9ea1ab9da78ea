"""The processes of the workers: started, configured, replaced when one dies, stopped.

A worker that dies soon after its start is replaced after a pause that grows each time.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, FirstError, TimeoutError, gatherResults
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from aprp.daemon.listening import CannotServe
from aprp.daemon.workers.common import Common
from aprp.daemon.workers.messages import DESCRIPTOR, Requests, WorkerGone
from aprp.daemon.workers.process import WorkerProcess
from aprp.daemon.workers.record import WorkerPlan, WorkerRecord
from aprp.web.admin.actions import CannotDo
from aprp.web.loops import INSTANCE

SOON = 10.0
"""Seconds; a worker that lives for less is replaced after a pause."""
SHORTEST, LONGEST = 1.0, 30.0
"""Seconds of that pause; it doubles each time."""
ANSWER = 5.0
"""Seconds that a worker has to answer a command."""
CONFIGURED = 60.0
"""Seconds that a worker has to begin serving with new settings, its first ones too."""
PARENT_ONLY = ("NOTIFY_SOCKET", "RUNTIME_DIRECTORY", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
"""Environment variables of the service manager that are for the parent alone."""


def pause_after(lived: float, before: float) -> float:
    """Return the seconds to wait before replacing a worker that lived for `lived` seconds.

    `before` is the pause before that worker was started.
    """
    if lived >= SOON:
        return 0.0
    return min(LONGEST, max(SHORTEST, 2 * before))


def _environment() -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in PARENT_ONLY}
    path = os.pathsep.join(each or os.getcwd() for each in sys.path)
    return kept | {"PYTHONPATH": path, "APRP_INSTANCE": INSTANCE}


class Supervisor:
    """Runs `count` workers, and replaces those that die.

    `write_log` and `write_access` take the lines that workers write. `ended` is called with the
    number of a worker that has ended. `missed` returns the commands that bring a new worker to the
    state of the others.
    """

    _log = Logger()

    def __init__(
        self,
        count: int,
        reactor: Any,
        write_log: Callable[[bytes], object],
        write_access: Callable[[bytes], object],
        ended: Callable[[int], object],
        missed: Callable[[], Iterable[tuple[str, str]]],
    ) -> None:
        self.records = tuple(WorkerRecord(number, Requests()) for number in range(count))
        self.restarts = 0
        self._reactor = reactor
        self._common = Common.create(count)
        self._write_log = write_log
        self._write_access = write_access
        self._on_end = ended
        self._missed = missed
        self._environment = _environment()
        self._plan: WorkerPlan | None = None
        self._ready: Deferred[None] = Deferred()
        self._stopping = False
        self._over: Deferred[None] = Deferred()

    def start(self, plan: WorkerPlan) -> Deferred[None]:
        """Start all workers. Fires when each of them serves."""
        self._plan = plan
        for record in self.records:
            self._start(record)
        return self._ready

    def _start(self, record: WorkerRecord) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        record.restart, record.serving, record.plan = None, False, None
        record.requests = requests = Requests()
        protocol = WorkerProcess(
            self._write_access, self._write_log, lambda why: self._ended(record, why)
        )
        numbers = (str(record.number), str(len(self.records)))
        command = (sys.executable, "-m", "aprp.daemon.workers", *numbers)
        record.began = self._reactor.seconds()
        record.process = self._reactor.spawnProcess(
            protocol,
            command[0],
            command,
            env=dict(self._environment),
            childFDs={0: "w", 1: "r", 2: "r", DESCRIPTOR: theirs.fileno()}
            | self._common.descriptors,
        )
        record.pid = record.process.pid
        theirs.close()
        self._reactor.adoptStreamConnection(
            ours.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: requests)
        )
        ours.close()
        Deferred.fromCoroutine(self._begin(record)).addErrback(
            lambda failure: self._log.failure("starting a worker", failure)
        )

    async def _begin(self, record: WorkerRecord) -> None:
        process = record.process
        try:
            await self._configure(record, self._plan)
        except WorkerGone:
            return
        except CannotDo as error:
            self._log.error(
                "worker {number} can't serve: {reason}", number=record.number + 1, reason=str(error)
            )
            if record.process is process:
                self._kill(record)
            return
        for command, argument in self._missed():
            with suppress(CannotDo):  # the source may not exist any more
                await self._ask(record, command, (argument,))
        record.serving = True
        if not self._ready.called and all(each.serving for each in self.records):
            self._ready.callback(None)

    async def _configure(self, record: WorkerRecord, plan: WorkerPlan | None) -> None:
        assert plan is not None
        record.plan = plan
        packed = plan.configurations[record.number].packed()
        asked = record.requests.ask("configure", packed, descriptors=plan.descriptors)
        try:
            await Deferred.fromCoroutine(asked).addTimeout(CONFIGURED, self._reactor)
        except TimeoutError:
            self._kill(record)
            raise CannotDo(f"it didn't answer within {CONFIGURED:g} s, and is replaced") from None

    async def change(self, plan: WorkerPlan) -> None:
        """Reconfigure all workers; raises `CannotServe`, and then all keep the old plan."""
        before = self._plan
        errors, changed = [], []
        for record in self.records:
            try:
                await self._configure(record, plan)
            except WorkerGone:
                pass  # its replacement is configured when it starts
            except CannotDo as error:
                errors.append(f"worker {record.number + 1}: {error}")
                record.plan = before
            else:
                changed.append(record)
        if errors:
            for record in changed:
                await self._restore(record, before)
            raise CannotServe("\n".join(errors))
        self._plan = plan
        for record in self.records:
            if record.plan is not plan and record.restart is None:
                await self._restore(record, plan)

    async def _restore(self, record: WorkerRecord, plan: WorkerPlan | None) -> None:
        """Configure a worker as the others are; replace it if that fails."""
        try:
            await self._configure(record, plan)
        except WorkerGone:
            pass
        except CannotDo as error:
            self._log.error(
                "worker {number} is replaced, since it can't be configured: {reason}",
                number=record.number + 1,
                reason=str(error),
            )
            self._kill(record)

    async def ask(self, command: str, *arguments: str) -> list[tuple[int, Any]]:
        """Return (number, answer) of each worker that answers in time; raises `CannotDo`."""
        return await self.ask_each(command, lambda number: arguments)

    async def ask_each(
        self, command: str, arguments: Callable[[int], tuple[str, ...]]
    ) -> list[tuple[int, Any]]:
        """Like `ask`, with arguments that depend on the number of the worker."""
        asked = [
            Deferred.fromCoroutine(self._ask(record, command, arguments(record.number)))
            for record in self.records
            if record.serving
        ]
        try:
            found = await gatherResults(asked, consumeErrors=True)
        except FirstError as first:
            first.subFailure.raiseException()
        return [each for each in found if each is not None]

    async def ask_one(self, number: int, command: str, *arguments: str) -> Any:
        """Return the answer of one worker; None if it doesn't answer in time."""
        answer = await self._ask(self.records[number], command, arguments)
        return None if answer is None else answer[1]

    async def wait_for(self, number: int, command: str, *arguments: str) -> Any:
        """Return the answer of one worker, however late; None if it ends before it answers."""
        try:
            return await self.records[number].requests.ask(command, *arguments)
        except WorkerGone:
            return None

    async def _ask(self, record: WorkerRecord, command: str, arguments: tuple[str, ...]) -> Any:
        answer = Deferred.fromCoroutine(record.requests.ask(command, *arguments))
        answer.addTimeout(ANSWER, self._reactor)
        try:
            return record.number, await answer
        except (WorkerGone, TimeoutError):
            return None

    def listed(self) -> list[dict[str, Any]]:
        """Return the number (from 1), pid, state and age in seconds of each worker."""
        now = self._reactor.seconds()
        return [record.described(now) for record in self.records]

    def _ended(self, record: WorkerRecord, reason: ProcessDone | ProcessTerminated) -> None:
        pid, record.process, record.pid, record.serving = record.pid, None, 0, False
        self._common.forget(record.number)
        self._on_end(record.number)
        if self._stopping:
            if all(each.process is None for each in self.records) and not self._over.called:
                self._over.callback(None)
            return
        record.pause = pause_after(self._reactor.seconds() - record.began, record.pause)
        self.restarts += 1
        self._log.error(
            "worker {number} (pid {pid}) {how}; its responses are cut off. It is replaced {when}",
            number=record.number + 1,
            pid=pid,
            how=_how(reason),
            when=f"in {record.pause:g} s" if record.pause else "now",
        )
        record.restart = self._reactor.callLater(record.pause, self._start, record)

    def cut(self) -> None:
        """Have all workers cut the responses in flight."""
        Deferred.fromCoroutine(self.ask("cut")).addErrback(
            lambda failure: self._log.failure("internal error while cutting responses", failure)
        )

    async def stop(self, seconds: float) -> None:
        """Have all workers drain and exit; kill those that haven't after these seconds."""
        self._stopping = True
        for record in self.records:
            if record.restart is not None and record.restart.active():
                record.restart.cancel()
        alive = [record for record in self.records if record.process is not None]
        if not alive:
            return
        for record in alive:
            Deferred.fromCoroutine(record.requests.ask("stop")).addErrback(
                lambda failure: failure.trap(WorkerGone)
            )
        late = self._reactor.callLater(seconds, self._kill_all)
        await self._over
        if late.active():
            late.cancel()

    def _kill_all(self) -> None:
        for record in self.records:
            if record.process is not None:
                self._log.error(
                    "worker {number} didn't exit in time and is killed", number=record.number + 1
                )
                self._kill(record)

    def _kill(self, record: WorkerRecord) -> None:
        if record.process is not None:
            with suppress(ProcessExitedAlready):
                record.process.signalProcess("KILL")


def _how(reason: ProcessDone | ProcessTerminated) -> str:
    if reason.signal is not None:
        return f"was killed by {signal.Signals(reason.signal).name}"
    return f"ended with status {reason.exitCode}"
