"""Access to the admin port: only by its own names, and not from pages of other sites.

The rules are those of `aprp.core.http.same_site`. A password is checked after them, if one is set,
except for ``/healthz`` and ``/readyz``, which probes request without one.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.web.resource import IResource, Resource, getChildForRequest
from twisted.web.server import NOT_DONE_YET, Request

from aprp.config import AdminSettings
from aprp.core.http.fields import Fields
from aprp.core.http.same_site import is_cross_site, is_foreign_host
from aprp.core.values import dataclass
from aprp.web.admin.answering import answer, fields_of, run_later
from aprp.web.passwords import Passwords

MOST_BODY = 4096
"""Bytes of a request's body."""
_PROBES = (b"/healthz", b"/readyz")
_CHALLENGE = b'Basic realm="aprp", charset="UTF-8"'


class SmallRequest(Request):
    """A request that keeps at most `MOST_BODY` bytes of its body."""

    too_large = False

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        assert self.content is not None
        if self.too_large or self.content.tell() + len(data) > MOST_BODY:
            self.too_large = True
        else:
            super().handleContentChunk(data)


@dataclass(frozen=True, slots=True)
class AdminRules:
    """The names by which the port may be requested, and its users; None: no password."""

    names: tuple[str, ...] = ()
    passwords: Passwords | None = None

    @classmethod
    def of(cls, settings: AdminSettings | None) -> AdminRules:
        """Return the rules of the settings."""
        if settings is None:
            return cls()
        auth = settings.basic_auth
        return cls(settings.hosts, None if auth is None else Passwords(auth))


class AdminGate(Resource):
    """The tree of the admin port behind its rules."""

    isLeaf = True

    def __init__(self, tree: Resource, rules: AdminRules) -> None:
        super().__init__()
        self.rules = rules
        self._tree = tree

    def render(self, request: Request) -> Any:
        fields = fields_of(request)
        refused = self._refused(request, fields)
        if refused is not None:
            return _refuse(request, *refused)
        if self.rules.passwords is None or request.path in _PROBES:
            return self._child(request).render(request)
        run_later(request, self._check(self.rules.passwords, request, fields))
        return NOT_DONE_YET

    def _refused(self, request: Request, fields: Fields) -> tuple[int, str] | None:
        """Return the status and the reason of a refusal that no password prevents, or None."""
        hosts = fields.all(b"host")
        if len(hosts) > 1:
            return 400, "the request has more than one Host field"
        if hosts and is_foreign_host(hosts[0], self.rules.names):
            return 421, (
                "the admin port can't be requested by this name; use its address or localhost, or "
                "add the name of the Host field to hosts: under admin: in aprp's configuration"
            )
        if is_cross_site(request.method, fields):
            return 403, (
                "a page of another site sent this request; only the admin page may. A proxy in "
                "front has to pass the Host field on, and its name has to be listed in hosts:, "
                "under admin: in aprp's configuration"
            )
        if getattr(request, "too_large", False):
            return 413, f"the body is larger than {MOST_BODY} bytes"
        return None

    async def _check(self, passwords: Passwords, request: Request, fields: Fields) -> None:
        if await passwords.user_of(fields) is None:
            request.setHeader("WWW-Authenticate", _CHALLENGE)
            request.write(_refuse(request, 401, "a user and password are required"))
            request.finish()
        else:
            request.render(self._child(request))

    def _child(self, request: Request) -> IResource:
        child: IResource = getChildForRequest(self._tree, request)
        return child


def _refuse(request: Request, status: int, reason: str) -> bytes:
    return answer(request, status, "text/plain; charset=utf-8", f"{reason}\n".encode())
