"""Where a source's redirect leads, and whether it may be followed there."""

from __future__ import annotations

from urllib.parse import urljoin

from aprp.core.url import Url

MOST_HOPS = 5


def redirected(rule: str, first: Url, at: Url, location: bytes | None) -> Url | str:
    """The URL that a redirect from `at` means, or why it isn't followed.

    `rule` is the route's: same-host (the host of `first`, the source's own URL), public, or off.
    Going from https to http is never followed.
    """
    if rule == "off":
        return "redirects, and `redirects: off` doesn't follow"
    if location is None:
        return "redirects without a Location"
    try:
        target = Url.parse(urljoin(str(at), location.decode("ascii").partition("#")[0]))
    except ValueError as error:
        return f"redirects to a place that can't be asked: it {_reason(error)}"
    if at.scheme == "https" and target.scheme != "https":
        return f"redirects from https to {target.origin}"
    if rule == "same-host" and target.host != first.host:
        return f"redirects to {target.origin}; `redirects: public` would follow"
    return target


def _reason(error: ValueError) -> str:
    return "isn't ASCII" if isinstance(error, UnicodeError) else str(error)
