"""The control socket: commands of `aprp ctl`, as lines of JSON over a unix socket.

A request is one line, ``{"command": "drain", "arguments": ["https://a.example/pub/"]}``, and so is
its response: ``{"ok": true, "result": ...}`` or ``{"ok": false, "error": "..."}``. A connection may
carry several. Whoever can open the socket can run every command; its mode is 0600.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver

from aprp.config import Settings
from aprp.daemon.reload import OWN_FAULT
from aprp.web.admin.actions import CannotDo, Handler

MOST_BYTES = 65536
"""The maximum length of a request."""


def socket_of(settings: Settings, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the endpoint string of the control socket, as a tuple that is empty for none.

    Without a setting it is in the directory that systemd gives the service (RuntimeDirectory=).
    """
    path = None if settings.control is None else str(settings.control)
    directory = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if path is None and directory:
        path = os.path.join(directory, "ctl.sock")
    return () if path is None else (f"unix:{quoteStringArgument(path)}:mode=600",)


class ControlFactory(Factory):
    """Builds the connections of the control socket."""

    noisy = False

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self.handlers = handlers

    def buildProtocol(self, addr: object) -> ControlConnection:
        return ControlConnection(self.handlers)


class ControlConnection(LineOnlyReceiver):
    """A client connection; its commands run one after the other."""

    _log = Logger()
    delimiter = b"\n"
    MAX_LENGTH = MOST_BYTES

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._last: Deferred[None] = Deferred()
        self._last.callback(None)

    def lineReceived(self, line: bytes) -> None:
        self._last.addCallback(lambda _: Deferred.fromCoroutine(self._answer(line)))

    async def _answer(self, line: bytes) -> None:
        answer: dict[str, Any]
        try:
            answer = {"ok": True, "result": await self._carry_out(line)}
        except CannotDo as error:
            answer = {"ok": False, "error": str(error)}
        except Exception:
            self._log.failure("internal error in a command of the control socket")
            answer = {"ok": False, "error": OWN_FAULT}
        assert self.transport is not None
        self.transport.write(json.dumps(answer).encode() + b"\n")

    async def _carry_out(self, line: bytes) -> Any:
        command, arguments = _read(line)
        handler = self._handlers.get(command)
        if handler is None:
            raise CannotDo(f"{command!r} is not a command; use {', '.join(self._handlers)}")
        try:
            result = handler(*arguments)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                raise
            raise CannotDo(f"{command} doesn't take {len(arguments)} arguments") from None
        return await result if isinstance(result, Awaitable) else result


def _read(line: bytes) -> tuple[str, list[str]]:
    try:
        request = json.loads(line)
        command, arguments = request["command"], request.get("arguments", [])
        if isinstance(command, str) and all(isinstance(each, str) for each in arguments):
            return command, arguments
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise CannotDo(
        'write a request as one line of JSON, such as {"command": "status", "arguments": []}'
    )
