"""A program's request: where a file is, and with which settings to fetch it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from aprp.config import SourceSettings, SourcesRoute, Url
from aprp.config.arguments import check_names, explain_arguments
from aprp.core.recovery.pieces import Proof
from aprp.core.recovery.versions import Facts
from aprp.upstream.http.guard import Guard, own_host_or
from aprp.upstream.http.names import Names
from aprp.upstream.http.tls import UNVERIFIED
from aprp.upstream.http.trust import trust_of
from aprp.upstream.transfer.options import FileLocation, TransferOptions, location, names_by_origin


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """The file to fetch, and the settings for it; see `fetch_request`.

    Of the sources, `at_once` are used at the same time, and the others take the place of those that
    fail; None: all. `complete` is the length of the file, if it is known; it needs `same: length`.
    With a `proof`, only verified pieces are read. With `listed_by`, the URL of a list that named
    the sources, only public addresses and that URL's own host and port are connected to, and only
    that host gets the route's headers.
    """

    route: SourcesRoute
    verify: bool = True
    leave_late: bool = False
    initial_delay: int = 10
    at_once: int | None = None
    complete: int | None = None
    listed_by: Url | None = None
    proof: Proof | None = None

    @property
    def locations(self) -> tuple[FileLocation, ...]:
        """The sources, and the URLs at which they have the file."""
        sources = self.route.sources
        names = names_by_origin([source.location for source in sources])
        return tuple(map(location, sources, names))

    @property
    def known(self) -> Facts | None:
        """What is known of the file before any source was asked."""
        return None if self.complete is None else Facts(self.complete)

    def options(self, names: Names) -> TransferOptions:
        """Return the transfer's options; `names` looks up the hosts of redirects."""
        trust = trust_of(self.route.tls) if self.verify else UNVERIFIED
        reach = own_host_or(Guard(names), trust, self.route.connect_timeout)
        options = TransferOptions.of(self.route, trust, reach)
        scheduling = replace(
            options.scheduling,
            leave_late=self.leave_late,
            initial_delay=self.initial_delay,
            at_once=self.at_once,
        )
        options = replace(options, scheduling=scheduling)
        if self.proof is not None:
            options = options.with_proof(self.proof)
        if self.listed_by is None:
            return options
        home = self.listed_by
        return replace(
            options,
            reach=lambda url, own: reach(url, home),
            headers_to=(home.host,),
        )


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
        return FetchRequest(
            SourcesRoute(path="/", sources=tuple(sources.values()), **settings), verify
        )
    except ValueError as error:
        raise ValueError(_sentence(error)) from None


def _sentence(error: ValueError) -> str:
    """Return which setting is invalid, and why."""
    return explain_arguments(error) if isinstance(error, ValidationError) else str(error)
