"""Detect and refuse requests that come back to the daemon that sent them, by its name in Via.

Every request to an upstream or a source has the name of this process at the end of its Via field
(RFC 9110 section 7.6.3), which every proxy on the way has to pass on.
"""

from __future__ import annotations

import os
import secrets

from aprp.core.http.fields import Pairs
from aprp.core.http.forwarding import PSEUDONYM, via
from aprp.upstream.http.guard import OwnListener
from aprp.web.failures import Refusal
from aprp.web.request import ProxyRequest

INSTANCE = os.environ.get("APRP_INSTANCE") or secrets.token_hex(8)
"""The environment of a worker says which daemon it is one of."""
NAME = b"%s-%s" % (PSEUDONYM, INSTANCE.encode("ascii"))
"""That of this daemon; no other has the same."""


def refuse_loop(request: ProxyRequest) -> None:
    """Raise Refusal if this daemon sent the request."""
    hops = request.fields.by_name.get(b"via")
    if hops is not None and NAME in hops.lower():
        raise Refusal(508, "the request came from this proxy itself", OwnListener.kind)


def own_via(request: ProxyRequest) -> Pairs:
    """Return the Via of a request that aprp makes on behalf of a client's."""
    return (via(request.fields, request.version, NAME),)
