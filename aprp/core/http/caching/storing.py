"""Which responses may be stored, and which of their fields (RFC 9111 sections 3, 3.1 and 3.5).

Stricter than the RFC where another's data is at stake: a response with Set-Cookie is stored only
where the origin gave its freshness or called it public, and never with the cookie; a response to a
request with cookies isn't stored on the strength of the heuristic alone.
"""

from __future__ import annotations

from aprp.core.http.caching.directives import Directives, cache_control
from aprp.core.http.caching.freshness import HEURISTIC, VALID_FOR, lifetime
from aprp.core.http.caching.policy import Policy
from aprp.core.http.caching.response import Response
from aprp.core.http.caching.vary import vary_names
from aprp.core.http.fields import Fields
from aprp.core.http.forwarding import end_to_end
from aprp.core.http.validators import Validators
from aprp.core.values import dataclass

UNDERSTOOD = frozenset(
    (
        *range(200, 207),
        *range(300, 304),
        307,
        308,
        *range(400, 418),
        421,
        422,
        426,
        *range(500, 506),
    )
)
"""The final statuses of RFC 9110, which a response with must-understand may have."""

NEVER_STORED = frozenset(
    (
        b"cache-status",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"set-cookie",
        b"set-cookie2",
    )
)
"""Fields for one client, or that a cache writes itself."""

OVERRIDES = frozenset(
    (
        b"base-url",
        b"front-end-https",
        b"request-uri",
        b"x-forwarded-path",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-protocol",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-forwarded-uri",
        b"x-host",
        b"x-http-host-override",
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-host",
        b"x-original-uri",
        b"x-original-url",
        b"x-rewrite-url",
        b"x-scheme",
        b"x-script-name",
        b"x-url-scheme",
    )
)
"""Fields that make some origins serve another resource than the one in the target."""


_OF_THE_REQUEST = frozenset(("Authorization", "Cookie", "no-store in request"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a response may be stored; if not, `why` says so in a few words."""

    why: str | None = None

    @property
    def for_all(self) -> bool:
        """Whether it would be the same for other requests for the resource."""
        return self.why not in _OF_THE_REQUEST

    def __bool__(self) -> bool:
        return self.why is None


YES = Verdict()


def cacheable_request(method: bytes, request: Fields, has_body: bool) -> Verdict:
    """Return whether a request may be answered from the cache, or its response stored, at all."""
    if method not in (b"GET", b"HEAD"):
        return Verdict("method")
    if has_body:
        return Verdict("request has a body")
    if any(name.lower().replace(b"_", b"-") in OVERRIDES for name, _ in request):
        return Verdict("request may mean another resource")
    if b"no-store" in cache_control(request):
        return Verdict("no-store in request")
    return YES


def storable(method: bytes, request: Fields, response: Response, policy: Policy) -> Verdict:
    """Return whether the response to a request may be stored (section 3).

    `request` has the client's fields as the origin received them, without those that the route
    adds. A 206 may be stored only if its bytes can be combined with others (section 3.3): see
    `combinable`.
    """
    if method != b"GET":
        return Verdict("method")
    directives = response.directives(policy)
    return Verdict(
        _status_against(response, directives)
        or _directives_against(request, response, directives)
        or _secrets_against(request, response, policy, directives)
        or _freshness_against(response, policy, directives)
    )


def _status_against(response: Response, directives: Directives) -> str | None:
    status = response.status
    if status < 200 or status == 304:
        return "status"
    if status == 416:
        return "it answers one range alone"
    if b"must-understand" in directives and status not in UNDERSTOOD:
        return "must-understand"
    if status == 206 and not combinable(response):
        return "part without a strong validator"
    return None


def _directives_against(request: Fields, response: Response, directives: Directives) -> str | None:
    if b"no-store" in cache_control(request):
        return "no-store in request"
    if b"no-store" in directives and b"must-understand" not in directives:
        return "no-store"
    if directives.forbids(b"private"):
        return "private"
    if vary_names(response.fields) is None:
        return "Vary: *"
    return None


def _secrets_against(
    request: Fields, response: Response, policy: Policy, directives: Directives
) -> str | None:
    """Return why other requests must not get the response."""
    allowed = (b"public", b"s-maxage", b"must-revalidate")
    if b"authorization" in request and not any(each in directives for each in allowed):
        return "Authorization"  # section 3.5
    life = lifetime(response, policy)
    said = life.explicit or b"public" in directives
    if b"set-cookie" in response.fields and not said:
        return "Set-Cookie"
    by_route = policy.valid is not None and response.status in VALID_FOR
    revalidated = directives.forbids(b"no-cache")
    if b"cookie" in request and not (said or by_route or revalidated):
        return "Cookie"
    return None


def _freshness_against(response: Response, policy: Policy, directives: Directives) -> str | None:
    """Return why the response can't be of use: it says nothing of freshness, or isn't fresh and
    can't be revalidated.
    """
    life = lifetime(response, policy)
    allowed = life.explicit or b"public" in directives or response.status in HEURISTIC
    if not allowed and not (policy.valid is not None and response.status in VALID_FOR):
        return "no freshness"
    stale = directives.seconds(b"stale-while-revalidate") or directives.seconds(b"stale-if-error")
    if (life.seconds > 0 or stale) and not directives.forbids(b"no-cache"):
        return None
    validators = Validators.of(response.fields)
    if validators.etag is None and validators.last_modified is None:
        return "not fresh, no validator"
    return None


def combinable(response: Response) -> bool:
    """Whether bytes of the response may be combined with those of others (RFC 9110 section
    15.3.7.3): it has a strong validator.
    """
    return Validators.of(response.fields).strong() is not None


def stored_fields(response: Response, policy: Policy) -> Fields:
    """Return the fields of a response that are stored (section 3.1).

    Without those for the connection, those for one client, and those that `private` or `no-cache`
    name (sections 5.2.2.4 and 5.2.2.7).
    """
    directives = response.directives(policy)
    named = (directives.names(b"no-cache") or frozenset()) | (
        directives.names(b"private") or frozenset()
    )
    return end_to_end(response.fields).without(NEVER_STORED | named)
