"""Requests that came back to where they went out from: known by a mark (RFC 8586), refused."""

from __future__ import annotations

import secrets

from aprp.core.http.fields import Pairs
from aprp.upstream.http.guard import OwnListener
from aprp.web.failures import Refusal
from aprp.web.request import ProxyRequest


class LoopMark:
    """That of one route; no two have the same."""

    def __init__(self) -> None:
        self._mark = b"aprp-" + secrets.token_hex(8).encode("ascii")

    def check(self, request: ProxyRequest) -> None:
        """Raises Refusal where the request went through the route before."""
        if self._mark in request.fields.tokens(b"cdn-loop"):
            raise Refusal(508, "the request came from this proxy itself", OwnListener.kind)

    def lines(self, request: ProxyRequest) -> Pairs:
        """The field that goes with whatever is asked for the request's sake."""
        marks = (*request.fields.all(b"cdn-loop"), self._mark)
        return ((b"CDN-Loop", b", ".join(marks)),)
