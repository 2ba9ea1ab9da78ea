"""Checks the arguments of `open_transfer`, by the rules and with the messages for a route."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from aprp.config import SourceSettings, SourcesRoute, Url
from aprp.config.arguments import check_names, explain_arguments
from aprp.library.fetch_request import FetchRequest
from aprp.upstream.transfer.options import names_by_origin
from aprp.upstream.transfer.route_options import location, options_of


def fetch_request(
    urls: Iterable[str],
    *,
    verify: bool = True,
    connections: int = 4,
    static_delay: Sequence[int] | None = None,
    **settings: Any,
) -> FetchRequest:
    """Check the arguments of `open_transfer`. Raise ValueError if they are invalid.

    If `verify` is false, certificates aren't verified.
    """
    if isinstance(urls, str | bytes):
        raise ValueError("urls must be a list of URLs, not a single one")
    check_names(settings)
    texts = [str(url) for url in urls]
    delays = static_delay or [0] * len(texts)
    if len(delays) != len(texts):
        raise ValueError(f"static_delay has {len(delays)} numbers for {len(texts)} URLs")
    sources: dict[Url, SourceSettings] = {}
    for text, delay in zip(texts, delays, strict=True):
        try:
            url = Url.parse(text)
            told = SourceSettings(url=url, connections=connections, static_delay=delay)
        except ValueError as error:
            raise ValueError(f"{text} {_sentence(error)}") from None
        sources.setdefault(url, told)
    try:
        route = SourcesRoute(path="/", sources=tuple(sources.values()), **settings)
    except ValueError as error:
        raise ValueError(_sentence(error)) from None
    names = names_by_origin(tuple(sources))
    locations = tuple(map(location, sources.values(), names))
    return FetchRequest(locations, options_of(route), route.tls.ca, verify)


def _sentence(error: ValueError) -> str:
    """Return which setting is invalid, and why."""
    return explain_arguments(error) if isinstance(error, ValidationError) else str(error)
