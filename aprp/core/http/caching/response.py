"""A response as the cache stores it, and as its rules see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from aprp.core.http.caching.directives import Directives, cache_control, targeted
from aprp.core.http.caching.policy import Policy
from aprp.core.http.fields import Fields
from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Response:
    """A response: its status and end-to-end fields, when it was requested and received.

    `vary` has the fields of its request that its Vary names, normalised
    (`aprp.core.http.caching.vary`).
    """

    status: int
    fields: Fields
    requested_at: float
    received_at: float
    vary: Mapping[bytes, bytes | None] = field(default_factory=dict)

    def directives(self, policy: Policy) -> Directives:
        """Return the directives that hold for this cache.

        They are those of the first targeted field that is valid (RFC 9213 section 2.2), or of
        Cache-Control.
        """
        return self.controlled(policy)[0]

    def controlled(self, policy: Policy) -> tuple[Directives, bool]:
        """Return the directives, and whether they come from a targeted field.

        If they do, Cache-Control and Expires don't count.
        """
        for name in policy.targeted:
            found = targeted(self.fields, name)
            if found is not None:
                return found, True
        return cache_control(self.fields), False
