"""The messages between parent and worker: lines of JSON over a pair of unix sockets.

The parent requests, ``{"id": 7, "command": "status", "arguments": []}``, and the worker answers,
``{"id": 7, "ok": true, "result": ...}`` or ``{"id": 7, "ok": false, "error": "..."}``. Listening
sockets are passed along with a request, as descriptors.
"""

from __future__ import annotations

import json
import pickle
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from aprp.config import Settings
from aprp.core.values import dataclass
from aprp.daemon.caching import ALONE, Place
from aprp.web.admin.actions import CannotDo

DESCRIPTOR = 3
"""The descriptor of the worker's end of the pair."""
MOST_BYTES = 64 << 20
"""The maximum length of a line."""


class WorkerGone(Exception):
    """The worker ended before it answered."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a worker is configured with. `families` are those of the sockets passed with it, in the
    order of `settings.listen`; `bound` has all addresses and ports that the daemon listens on."""

    settings: Settings
    families: tuple[int, ...]
    bound: tuple[tuple[str, int], ...]
    place: Place = ALONE

    def packed(self) -> str:
        """Return it as text, pickled: only a parent and its own workers may exchange it."""
        return b64encode(pickle.dumps(self)).decode("ascii")

    @classmethod
    def unpacked(cls, text: str) -> Configuration:
        """Return what was packed."""
        found: Configuration = pickle.loads(b64decode(text))
        return found


class Lines(LineOnlyReceiver):
    """Either end."""

    delimiter = b"\n"
    MAX_LENGTH = MOST_BYTES

    def send(self, message: dict[str, Any]) -> None:
        """Send one line, unless the other end is gone."""
        if self.transport is not None and self.connected:
            self.transport.write(json.dumps(message).encode() + b"\n")


class Requests(Lines):
    """The parent's end."""

    def __init__(self) -> None:
        self._waiting: dict[int, Deferred[Any]] = {}
        self._count = 0
        self._gone = False

    async def ask(self, command: str, *arguments: str, descriptors: Iterable[int] = ()) -> Any:
        """Return the result of a command; raises `CannotDo` or `WorkerGone`."""
        if self._gone or self.transport is None:
            raise WorkerGone
        self._count += 1
        answer: Deferred[Any] = Deferred()
        self._waiting[self._count] = answer
        transport: Any = self.transport
        for descriptor in descriptors:
            transport.sendFileDescriptor(descriptor)
        self.send({"id": self._count, "command": command, "arguments": list(arguments)})
        return await answer

    def lineReceived(self, line: bytes) -> None:
        message = json.loads(line)
        waiting = self._waiting.pop(message["id"])
        if message["ok"]:
            waiting.callback(message["result"])
        else:
            waiting.errback(CannotDo(message["error"]))

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._gone = True
        waiting, self._waiting = self._waiting, {}
        for each in waiting.values():
            each.errback(WorkerGone())
