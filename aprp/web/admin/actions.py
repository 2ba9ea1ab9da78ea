"""What the admin page can do: the commands of `aprp ctl` that it has buttons for.

``POST /drain`` with ``{"source": NAME}``, ``POST /resume`` with the same, ``POST /reload`` with
``{}``. The response is the command's result as JSON, or 409 with ``{"error": ...}``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from twisted.web.pages import notFound
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from aprp.web.admin.answering import answer, run_later

ACTIONS = {"drain": ("source",), "resume": ("source",), "reload": ()}
"""The commands, and the members of their requests."""

Handler = Callable[..., Any]
"""A command: takes text arguments, returns a JSON value or an awaitable of one."""


class CannotDo(Exception):
    """Raised when a command can't be executed; the text says why, and what to do."""


def actions(handlers: Mapping[str, Handler]) -> dict[bytes, Resource]:
    """Return the resource of each action, by its name."""
    return {name.encode(): Action(handlers[name], takes) for name, takes in ACTIONS.items()}


class Action(Resource):
    """A command that a POST executes; other methods have no effect."""

    def __init__(self, handler: Handler, takes: tuple[str, ...]) -> None:
        super().__init__()
        self._handler = handler
        self._takes = takes

    def getChild(self, path: bytes, request: Request) -> IResource:
        return notFound()

    def render(self, request: Request) -> bytes | int:
        if request.method != b"POST":
            request.setHeader("Allow", "POST")
            return _answer(request, 405, {"error": "use POST"})
        kind = (request.getHeader("Content-Type") or "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return _answer(request, 415, {"error": "send Content-Type: application/json"})
        arguments = self._arguments(request)
        if arguments is None:
            example = json.dumps(dict.fromkeys(self._takes, "..."))
            return _answer(request, 400, {"error": f"send a JSON object such as {example}"})
        run_later(request, self._execute(request, arguments))
        return NOT_DONE_YET

    def _arguments(self, request: Request) -> list[str] | None:
        """Return the arguments in their order, None unless all are there, as text."""
        assert request.content is not None
        try:
            sent = json.loads(request.content.read())
        except (ValueError, RecursionError):
            return None
        if not isinstance(sent, dict) or sent.keys() != set(self._takes):
            return None
        arguments = [sent[name] for name in self._takes]
        return arguments if all(isinstance(each, str) for each in arguments) else None

    async def _execute(self, request: Request, arguments: list[str]) -> None:
        try:
            result = self._handler(*arguments)
            if isinstance(result, Awaitable):
                result = await result
        except CannotDo as error:
            request.write(_answer(request, 409, {"error": str(error)}))
        else:
            request.write(_answer(request, 200, result))
        request.finish()


def _answer(request: Request, status: int, value: Any) -> bytes:
    return answer(request, status, "application/json", json.dumps(value).encode() + b"\n")
