"""Names whose lookups a test answers itself."""

from __future__ import annotations

from threading import Condition

from twisted.internet.defer import Deferred, succeed

from aprp.upstream.http.names import Addresses


class FakeNames:
    """Each lookup waits in `lookups`, as (host, seconds, asker, deferred); `left` were left."""

    def __init__(self) -> None:
        self.lookups: list[tuple[str, float, str | None, Deferred[Addresses]]] = []
        self.left: list[str] = []

    def lookup(self, host: str, seconds: float, asker: str | None = None) -> Deferred[Addresses]:
        found: Deferred[Addresses] = Deferred(lambda _: self.left.append(host))
        self.lookups.append((host, seconds, asker, found))
        return found

    def answer(self, *addresses: str) -> None:
        """Answer the lookup that was begun last."""
        self.lookups[-1][3].callback(addresses)


class OneAddress:
    """Every name has that address."""

    def __init__(self, address: str) -> None:
        self._address = address

    def lookup(self, host: str, seconds: float, asker: str | None = None) -> Deferred[Addresses]:
        return succeed((self._address,))


class HeldUp:
    """A resolver whose lookups of names in `slow` block until they are let go."""

    def __init__(self, *slow: str) -> None:
        self.slow = set(slow)
        self.asked: list[str] = []
        self._changed = Condition()

    def __call__(self, host: str) -> Addresses:
        with self._changed:
            self.asked.append(host)
            self._changed.notify_all()
            self._changed.wait_for(lambda: host not in self.slow)
        return ("127.0.0.1",)

    def begun(self, count: int) -> int:
        """How many lookups have begun, once there are as many as that."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.asked) >= count, 10)
            return len(self.asked)

    def let_go(self) -> None:
        with self._changed:
            self.slow.clear()
            self._changed.notify_all()
