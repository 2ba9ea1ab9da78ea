"""Check access to a route before the route itself, and add its response fields.

A CORS preflight is answered first, since browsers send it without credentials. Then the client's
network, the URL's signature and the password are checked.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from aprp.config import RouteSettings
from aprp.core.http import cors
from aprp.core.http.client_address import within
from aprp.core.http.fields import Fields
from aprp.core.http.forwarding import with_own
from aprp.core.http.signed_urls import LinkRefused, LinkRules, check_link
from aprp.upstream.wall_clock import time
from aprp.web.failures import Refusal
from aprp.web.handling import run_handler
from aprp.web.passwords import Passwords
from aprp.web.request import ProxyRequest

KIND = "http_request_denied"


class Gate:
    """The access rules of one route, and the fields that its responses get."""

    def __init__(self, route: RouteSettings) -> None:
        self._networks = route.allow_clients
        self._links: LinkRules | None = None
        if (link := route.secure_link) is not None:
            self._links = LinkRules(link.secret.encode("utf-8"), link.form, link.bound_to)
        self._passwords = None if route.basic_auth is None else Passwords(route.basic_auth)
        self._realm = route.path.encode("ascii")
        self._origins = frozenset(each.encode("ascii").lower() for each in route.cors)
        self._own = tuple(
            (n.encode("latin-1"), v.encode("latin-1")) for n, v in route.response_headers
        )
        rules = (self._networks, self._links, self._passwords, self._origins, self._own)
        self.open = not any(rules)
        """Whether the route has no access rules and doesn't change responses."""

    def response_fields(self, request: Fields, fields: Fields) -> Fields:
        """Return a response's fields with those that this route sets."""
        if self._origins:
            fields = cors.with_cors(fields, request, self._origins)
        return with_own(fields, self._own)

    def preflight(self, request: ProxyRequest) -> Fields | None:
        """Return the fields of the response to a CORS preflight, or None for other requests."""
        if self._origins and cors.is_preflight(request.method, request.fields):
            return cors.preflight_fields(request.fields, self._origins)
        return None

    async def admit(self, request: ProxyRequest) -> None:
        """Let the request pass, without the signature in its query; raises Refusal."""
        if self._networks and not within(request.client_host, self._networks):
            raise Refusal(403, "your address isn't allowed here", KIND)
        if self._links is not None:
            request.target = replace(request.target, query=self._check_link(request))
        if self._passwords is not None:
            await self._check_password(self._passwords, request)

    def _check_link(self, request: ProxyRequest) -> bytes:
        assert self._links is not None
        target = request.target
        try:
            return check_link(self._links, target.path, target.query, request.client_host, time())
        except LinkRefused as refused:
            raise Refusal(410 if refused.expired else 403, str(refused), KIND) from None

    async def _check_password(self, passwords: Passwords, request: ProxyRequest) -> None:
        user = await passwords.user_of(request.fields)
        if user is None:
            challenge = b'Basic realm="%s", charset="UTF-8"' % self._realm
            fields = ((b"WWW-Authenticate", challenge),)
            raise Refusal(401, "a user and password are required", KIND, fields)
        request.fields = request.fields.without((b"authorization",))


class Gated(Resource):
    """A route behind its gate."""

    isLeaf = True

    def __init__(self, gate: Gate, route: Resource) -> None:
        super().__init__()
        self._gate = gate
        self._route = route

    def render(self, request: ProxyRequest) -> int:
        request.response_fields = self._gate.response_fields
        permitted = self._gate.preflight(request)
        if permitted is not None:
            request.begin(204, permitted)
            request.finish()
        else:
            run_handler(request, self._pass(request))
        return NOT_DONE_YET

    async def _pass(self, request: ProxyRequest) -> None:
        await self._gate.admit(request)
        self._route.render(request)
