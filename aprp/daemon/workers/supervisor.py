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

from twisted.internet.defer import Deferred, TimeoutError, gatherResults
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from aprp.daemon.listening import CannotServe
from aprp.daemon.workers.messages import DESCRIPTOR, Requests, WorkerGone
from aprp.daemon.workers.process import WorkerProcess
from aprp.daemon.workers.slot import Plan, Slot
from aprp.web.admin.actions import CannotDo
from aprp.web.loops import INSTANCE

SOON = 10.0
"""Seconds; a worker that lives for less died at once."""
SHORTEST, LONGEST = 1.0, 30.0
"""Seconds between the death of such a worker and the start of another."""
ANSWER = 5.0
"""Seconds that a worker has to answer what it is asked for."""
CONFIGURED = 60.0
"""Seconds that a worker has to serve by other settings, or by its first."""
PARENT_ONLY = ("NOTIFY_SOCKET", "RUNTIME_DIRECTORY", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
"""What the service manager tells the parent alone."""


def pause_after(lived: float, before: float) -> float:
    """Return the seconds to wait after a worker lived so long, and was waited for `before`."""
    if lived >= SOON:
        return 0.0
    return min(LONGEST, max(SHORTEST, 2 * before))


def _environment() -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in PARENT_ONLY}
    path = os.pathsep.join(each or os.getcwd() for each in sys.path)
    return kept | {"PYTHONPATH": path, "APRP_INSTANCE": INSTANCE}


class Supervisor:
    """Keeps as many workers as the plan has configurations. `write_log` and `write_access` take
    their lines; `ended` is called with the number of one that died; `missed` gives the commands
    that a new one is to carry out."""

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
        self.slots = tuple(Slot(number, Requests()) for number in range(count))
        self.restarts = 0
        self._reactor = reactor
        self._write_log = write_log
        self._write_access = write_access
        self._told = ended
        self._missed = missed
        self._environment = _environment()
        self._plan: Plan | None = None
        self._ready: Deferred[None] = Deferred()
        self._stopping = False
        self._over: Deferred[None] = Deferred()

    def start(self, plan: Plan) -> Deferred[None]:
        """Start all; fires when each of them serves."""
        self._plan = plan
        for slot in self.slots:
            self._start(slot)
        return self._ready

    def _start(self, slot: Slot) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        slot.again, slot.serving, slot.given = None, False, None
        slot.requests = requests = Requests()
        protocol = WorkerProcess(
            self._write_access, self._write_log, lambda why: self._ended(slot, why)
        )
        command = (sys.executable, "-m", "aprp.daemon.workers")
        slot.began = self._reactor.seconds()
        slot.process = self._reactor.spawnProcess(
            protocol,
            command[0],
            command,
            env=dict(self._environment),
            childFDs={0: "w", 1: "r", 2: "r", DESCRIPTOR: theirs.fileno()},
        )
        slot.pid = slot.process.pid
        theirs.close()
        self._reactor.adoptStreamConnection(
            ours.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: requests)
        )
        ours.close()
        Deferred.fromCoroutine(self._begin(slot)).addErrback(
            lambda failure: self._log.failure("starting a worker", failure)
        )

    async def _begin(self, slot: Slot) -> None:
        process = slot.process
        try:
            await self._configure(slot, self._plan)
        except WorkerGone:
            return
        except CannotDo as error:
            self._log.error(
                "worker {number} can't serve: {reason}", number=slot.number + 1, reason=str(error)
            )
            if slot.process is process:
                self._kill(slot)
            return
        for command, argument in self._missed():
            with suppress(CannotDo):  # what it is about may not be there any more
                await self._ask(slot, command, (argument,))
        slot.serving = True
        if not self._ready.called and all(each.serving for each in self.slots):
            self._ready.callback(None)

    async def _configure(self, slot: Slot, plan: Plan | None) -> None:
        assert plan is not None
        slot.given = plan
        packed = plan.configurations[slot.number].packed()
        asked = slot.requests.ask("configure", packed, descriptors=plan.descriptors)
        try:
            await Deferred.fromCoroutine(asked).addTimeout(CONFIGURED, self._reactor)
        except TimeoutError:
            self._kill(slot)
            raise CannotDo(f"it didn't answer in {CONFIGURED:g} s, and is replaced") from None

    async def change(self, plan: Plan) -> None:
        """Have all serve by another plan; raises `CannotServe`, and then all go on as before."""
        before = self._plan
        errors, changed = [], []
        for slot in self.slots:
            try:
                await self._configure(slot, plan)
            except WorkerGone:
                pass  # the one that takes its place is configured when it begins
            except CannotDo as error:
                errors.append(f"worker {slot.number + 1}: {error}")
                slot.given = before
            else:
                changed.append(slot)
        if errors:
            for slot in changed:
                await self._again(slot, before)
            raise CannotServe("\n".join(errors))
        self._plan = plan
        for slot in self.slots:
            if slot.given is not plan and slot.again is None:
                await self._again(slot, plan)

    async def _again(self, slot: Slot, plan: Plan | None) -> None:
        """Have one serve as the others do; where it can't, another takes its place."""
        try:
            await self._configure(slot, plan)
        except WorkerGone:
            pass
        except CannotDo as error:
            self._log.error(
                "worker {number} is replaced, since it can't serve as the others do: {reason}",
                number=slot.number + 1,
                reason=str(error),
            )
            self._kill(slot)

    async def ask(self, command: str, *arguments: str) -> list[tuple[int, Any]]:
        """Return what each answers, beside its number; those that don't answer are left out."""
        return await self.ask_each(command, lambda number: arguments)

    async def ask_each(
        self, command: str, arguments: Callable[[int], tuple[str, ...]]
    ) -> list[tuple[int, Any]]:
        """The same, with arguments by the number of the worker."""
        asked = [
            Deferred.fromCoroutine(self._ask(slot, command, arguments(slot.number)))
            for slot in self.slots
            if slot.serving
        ]
        found = await gatherResults(asked, consumeErrors=True) if asked else []
        return [each for each in found if each is not None]

    async def _ask(self, slot: Slot, command: str, arguments: tuple[str, ...]) -> Any:
        answer = Deferred.fromCoroutine(slot.requests.ask(command, *arguments))
        answer.addTimeout(ANSWER, self._reactor)
        try:
            return slot.number, await answer
        except (WorkerGone, TimeoutError):
            return None

    def listed(self) -> list[dict[str, Any]]:
        """Return the number (from 1), pid, state and age in seconds of each worker."""
        now = self._reactor.seconds()
        return [slot.described(now) for slot in self.slots]

    def _ended(self, slot: Slot, reason: ProcessDone | ProcessTerminated) -> None:
        pid, slot.process, slot.pid, slot.serving = slot.pid, None, 0, False
        self._told(slot.number)
        if self._stopping:
            if all(each.process is None for each in self.slots) and not self._over.called:
                self._over.callback(None)
            return
        slot.pause = pause_after(self._reactor.seconds() - slot.began, slot.pause)
        self.restarts += 1
        self._log.error(
            "worker {number} (pid {pid}) {how}; the answers that it sent are cut. "
            "Another takes its place {when}",
            number=slot.number + 1,
            pid=pid,
            how=_how(reason),
            when=f"in {slot.pause:g} s" if slot.pause else "now",
        )
        slot.again = self._reactor.callLater(slot.pause, self._start, slot)

    def cut(self) -> None:
        """Have them cut the answers that haven't ended."""
        Deferred.fromCoroutine(self.ask("cut")).addErrback(
            lambda failure: self._log.failure("cutting answers", failure)
        )

    async def stop(self, seconds: float) -> None:
        """Have them drain and end; those that haven't after so many seconds are killed."""
        self._stopping = True
        for slot in self.slots:
            if slot.again is not None and slot.again.active():
                slot.again.cancel()
        alive = [slot for slot in self.slots if slot.process is not None]
        if not alive:
            return
        for slot in alive:
            Deferred.fromCoroutine(slot.requests.ask("stop")).addErrback(
                lambda failure: failure.trap(WorkerGone)
            )
        late = self._reactor.callLater(seconds, self._kill_all)
        await self._over
        if late.active():
            late.cancel()

    def _kill_all(self) -> None:
        for slot in self.slots:
            if slot.process is not None:
                self._log.error("worker {number} doesn't end", number=slot.number + 1)
                self._kill(slot)

    def _kill(self, slot: Slot) -> None:
        if slot.process is not None:
            with suppress(ProcessExitedAlready):
                slot.process.signalProcess("KILL")


def _how(reason: ProcessDone | ProcessTerminated) -> str:
    if reason.signal is not None:
        return f"was killed by {signal.Signals(reason.signal).name}"
    return f"ended with status {reason.exitCode}"
