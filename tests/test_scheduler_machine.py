"""The scheduler's promises, whatever sources, clients and clocks do."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from aprp.core.choices import Delay, Duplicate
from aprp.core.reasons import reason
from aprp.core.scheduling import messages as m
from aprp.core.scheduling.settings import SchedulingSettings
from tests.support.scheduler_world import World

ENDS = [m.End.BROKEN, m.End.STALE, m.End.UNREACHABLE, m.End.REFUSED, m.End.ABSENT, m.End.LIED]


class Machine(RuleBasedStateMachine):
    """Everything that may happen to a transfer, in any order."""

    world: World

    @initialize(
        count=st.integers(1, 4),
        connections=st.integers(1, 4),
        start=st.integers(0, 100_000),
        length=st.integers(100_001, 6 * m.MIB),
        bounded=st.booleans(),
        known=st.booleans(),
        window=st.sampled_from([256 * m.KIB, 1_000_000, 4 * m.MIB, 32 * m.MIB]),
        delay=st.one_of(st.just(Delay.ADAPTIVE), st.sampled_from(Delay)),
        duplicate=st.one_of(st.just(Duplicate.ADAPTIVE), st.sampled_from(Duplicate)),
    )
    def begin(
        self,
        count: int,
        connections: int,
        start: int,
        length: int,
        bounded: bool,
        known: bool,
        window: int,
        delay: Delay,
        duplicate: Duplicate,
    ) -> None:
        sources = [
            m.Source(name, connections=connections, static_delay=i)
            for i, name in enumerate("abcd"[:count])
        ]
        self.world = World(
            sources,
            start,
            length - (length - start) // 3 if bounded else None,
            length,
            SchedulingSettings(
                window=window, delay=delay, duplicate=duplicate, duplicate_threshold=2
            ),
            known=known,
        )
        self.world.begin()

    def _attempt(self, index: int, begun: bool) -> int | None:
        numbers = [n for n, a in self.world.attempts.items() if a[3] is begun]
        return numbers[index % len(numbers)] if numbers else None

    @precondition(lambda self: self.world.wants and not self.world.over)
    @rule(index=st.integers(0, 3), ready=st.booleans(), connect=st.none() | st.floats(0.001, 0.3))
    def grant(self, index: int, ready: bool, connect: float | None) -> None:
        wants = sorted(self.world.wants)
        self.world.grant(wants[index % len(wants)], ready, connect if ready else None)

    @precondition(lambda self: self.world.wants and not self.world.over)
    @rule(ready=st.booleans())
    def grant_all(self, ready: bool) -> None:
        """As a daemon with idle connections does: all within the ``now`` of the want."""
        self.world.grant_all(ready)

    @precondition(lambda self: self.world.wants and not self.world.over)
    @rule(index=st.integers(0, 3))
    def connect_fails(self, index: int) -> None:
        source = sorted(self.world.wants)[index % len(self.world.wants)]
        del self.world.wants[source]
        self.world.send(m.ConnectFailed(source, reason("refused")))

    @rule(index=st.integers(0, 20), short=st.booleans())
    def head(self, index: int, short: bool) -> None:
        number = self._attempt(index, begun=False)
        if number is not None:
            _, start, stop, _ = self.world.attempts[number]
            self.world.head(number, start + (stop - start + 1) // 2 if short else None)

    @rule(index=st.integers(0, 20), count=st.integers(1, 2 * m.MIB))
    def bytes(self, index: int, count: int) -> None:
        number = self._attempt(index, begun=True)
        if number is not None:
            self.world.bytes(number, count)

    @rule(
        index=st.integers(0, 20),
        begun=st.booleans(),
        end=st.sampled_from(ENDS),
        retry_after=st.none() | st.floats(0, 40),
    )
    def failure(self, index: int, begun: bool, end: m.End, retry_after: float | None) -> None:
        number = self._attempt(index, begun)
        if number is not None:
            self.world.over_with(number, end, retry_after=retry_after)

    @precondition(lambda self: self.world.scheduler.length is None)
    @rule(index=st.integers(0, 20), length=st.integers(1, 6 * m.MIB))
    def another_version_ends_before(self, index: int, length: int) -> None:
        """A 416 of a version that is soon replaced."""
        number = self._attempt(index, begun=False)
        if number is not None and self.world.start < length <= self.world.attempts[number][1]:
            self.world.over_with(number, m.End.BEYOND, length=length)

    @precondition(lambda self: not self.world.over)
    @rule(count=st.integers(1, 4 * m.MIB))
    def take(self, count: int) -> None:
        self.world.take(count)

    @precondition(lambda self: not self.world.over)
    @rule()
    def deadline(self) -> None:
        self.world.tick()

    @precondition(lambda self: not self.world.over)
    @rule(seconds=st.sampled_from([0.0001, 0.01, 0.2, 1.0, 31.0]))
    def time(self, seconds: float) -> None:
        self.world.now += seconds
        self.world.send(m.TimePassed())

    @precondition(lambda self: not self.world.over)
    @rule(window=st.sampled_from([256 * m.KIB, 2 * m.MIB, 32 * m.MIB]))
    def narrow(self, window: int) -> None:
        self.world.resize(window)

    @precondition(lambda self: len(self.world.log) > 40)
    @rule()
    def stop(self) -> None:
        if not self.world.over:
            self.world.done = True
            self.world.wants, wants = {}, self.world.wants
            self.world.done = False
            self.world.wants = wants
            self.world.send(m.Stopped())
            assert not self.world.attempts and not self.world.wants
            self.world.done = True

    def teardown(self) -> None:
        world = getattr(self, "world", None)
        if world is None:
            return
        world.finish()
        if world.failed is None and world.given != world.end:
            assert isinstance(world.log[-1][1], m.Stopped)
        world.replay()


class MachineTests(SynchronousTestCase):
    def test_promises_hold_whatever_happens(self) -> None:
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=200,
                stateful_step_count=50,
                suppress_health_check=list(HealthCheck),
            ),
        )
