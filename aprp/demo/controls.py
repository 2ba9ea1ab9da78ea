"""The controls of the page: they kill a mirror, revive it or change its speed.

``POST /demo/mirrors/N/kill``, ``.../revive`` and ``.../rate`` with bytes a second as the body. A
browser may send these only from the demonstration's own page; otherwise pages of other sites could
press its visitors' buttons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from aprp.core.http.ranges import number
from aprp.core.http.same_site import is_cross_site, is_foreign_host
from aprp.demo.line import MOST
from aprp.demo.mirrors import Mirror
from aprp.demo.server import CannotRevive
from aprp.web.admin.answering import fields_of, run_later
from aprp.web.failures import Refusal


class Controls(Resource):
    """The controls of these mirrors, which are numbered from 0."""

    isLeaf = True

    def __init__(self, mirrors: Sequence[Mirror]) -> None:
        super().__init__()
        self._mirrors = mirrors

    def render(self, request: Request) -> bytes | int:
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("X-Content-Type-Options", "nosniff")
        run_later(request, self._answer(request))
        return NOT_DONE_YET

    async def _answer(self, request: Any) -> None:
        try:
            await self._run(request)
            request.setResponseCode(204)
        except Refusal as error:
            request.setResponseCode(error.status)
            request.write(f"{error}\n".encode())
        request.finish()

    async def _run(self, request: Any) -> None:
        if request.method != b"POST":
            request.setHeader("Allow", "POST")
            raise Refusal(405, "use POST")
        if not is_own_page(request):
            raise Refusal(
                403,
                "a page of another site sent this request",
            )
        mirror, verb = self._named(request.postpath or [])
        if verb == b"kill":
            await mirror.kill()
        elif verb == b"revive":
            await _revive(mirror)
        else:
            mirror.line.change(_rate(request.content.read(20)))

    def _named(self, path: Sequence[bytes]) -> tuple[Mirror, bytes]:
        """Return the mirror and the control that the two segments of a path name."""
        at = number(path[0]) if len(path) == 2 else None
        if at is None or at >= len(self._mirrors) or path[1] not in (b"kill", b"revive", b"rate"):
            last = len(self._mirrors) - 1
            raise Refusal(404, f"use mirrors/N/kill, /revive or /rate, with N from 0 to {last}")
        return self._mirrors[at], path[1]


async def _revive(mirror: Mirror) -> None:
    try:
        await mirror.revive()
    except CannotRevive as error:
        raise Refusal(409, str(error)) from None


def _rate(body: bytes) -> int:
    rate = number(body.strip())
    if rate is None or rate > MOST:
        raise Refusal(400, f"send bytes per second as the body of /rate, from 0 to {MOST}")
    return rate


def is_own_page(request: Request) -> bool:
    """Return whether the demonstration's own page sent this, or a program other than a browser.

    Behind aprp, the browser's Host field is in X-Forwarded-Host.
    """
    fields = fields_of(request)
    host = fields.get(b"x-forwarded-host") or fields.get(b"host") or b""
    named = fields.without((b"host",)).adding((b"Host", host))
    return not is_foreign_host(host, ()) and not is_cross_site(request.method, named)
