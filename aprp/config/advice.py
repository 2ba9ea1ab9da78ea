"""Warnings about a valid configuration, for the operator."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from aprp.config.caching import cache_trouble
from aprp.config.choices import Compare, Delay, Duplicate, Verify
from aprp.config.endpoints import listens_at
from aprp.config.files import directory_trouble
from aprp.config.metalink import MetalinkSettings
from aprp.config.routes import QueryRoute, SourcesRoute, TransferSettings, UpstreamRoute
from aprp.config.scalars import Size
from aprp.config.settings import Settings
from aprp.config.text import Location, Problem, Tree, locate
from aprp.core.http.addresses import Address, parse_address
from aprp.core.http.urls import Url

_OF_SERVERS = ("connect_timeout", "headers", "health", "host", "redirects", "tls")
Steps = tuple[str | int, ...]


def warnings(tree: Tree, settings: Settings) -> list[Problem]:
    """Return all warnings, in no particular order."""
    said = [
        *_of_log(settings),
        *_of_admin(settings),
        *_of_cache(settings),
        *_of_routes(settings),
        *_loops(settings),
    ]
    return [_problem(tree, location, message) for location, message in said]


def _problem(tree: Tree, location: Location, message: str) -> Problem:
    place, path, _ = locate(tree, location, at_key=True)
    return Problem(place, path, f"warning: {message}")


def _of_log(settings: Settings) -> Iterator[tuple[Location, str]]:
    log = settings.log
    if log.file is None and log.access in (None, "-"):
        for key in {"max_size", "keep"} & log.model_fields_set:
            message = "has no effect: it is for files, and neither file: nor access: names one"
            yield ("log", key), message
    if log.access is None and "access_format" in log.model_fields_set:
        yield ("log", "access_format"), "has no effect without access:"


def _of_admin(settings: Settings) -> Iterator[tuple[Location, str]]:
    admin = settings.admin
    listening = None if admin is None else listens_at(admin.listen)
    if admin is None or listening is None or admin.basic_auth is not None:
        return
    address = _address(listening[0])
    if address is None or not address.is_loopback:
        yield (
            ("admin",),
            "can be used by everyone who reaches that address, to drain sources too; "
            "set basic_auth: FILE beside listen:, or listen on 127.0.0.1",
        )


def _of_cache(settings: Settings) -> Iterator[tuple[Location, str]]:
    if settings.cache is not None:
        trouble = cache_trouble(settings.cache.path)
        if trouble is not None:
            yield ("cache", "path"), f"{trouble}; until then nothing is cached"
        return
    for index, route in enumerate(settings.routes):
        if "cache" in route.model_fields_set and route.cache is not None:
            message = "has no effect without cache: {path: ..., size: ...} at the top level"
            yield ("routes", index, "cache"), message


def _loops(settings: Settings) -> Iterator[tuple[Location, str]]:
    """Yield routes that lead back to the daemon itself, as far as the file shows."""
    for index, route in enumerate(settings.routes):
        urls: list[tuple[Location, Url]] = []
        if isinstance(route, UpstreamRoute):
            urls.append((("routes", index, "upstream"), route.upstream))
        elif isinstance(route, SourcesRoute):
            urls += (
                (("routes", index, "sources", at, "url"), source.url)
                for at, source in enumerate(route.sources)
                if source.url is not None
            )
        for location, url in urls:
            own = next((each for each in settings.listen if _leads_to(url, each)), None)
            if own is not None:
                message = f"leads back to this daemon ({own}); requests that come back get 508"
                yield location, message


def _leads_to(url: Url, endpoint: str) -> bool:
    """Return whether requests for the URL certainly reach the endpoint, on the same machine."""
    listening = listens_at(endpoint)
    if listening is None or url.socket is not None or listening[1] != url.port:
        return False
    asked, own = _address(url.host), _address(listening[0])
    if asked is None:
        return False
    if own is None or own.is_unspecified:
        return asked.is_loopback or asked.is_unspecified
    return asked == own or (asked.is_unspecified and own.is_loopback)


def _address(host: str) -> Address | None:
    return parse_address("127.0.0.1" if host == "localhost" else host)


def _of_routes(settings: Settings) -> Iterator[tuple[Location, str]]:
    for index, route in enumerate(settings.routes):
        here = ("routes", index)
        if isinstance(route, UpstreamRoute) and route.tls.ca and route.upstream.scheme != "https":
            yield (*here, "tls"), "has no effect: the upstream's URL is http"
        if isinstance(route, UpstreamRoute) and "redirects" in route.model_fields_set:
            message = "has no effect here: upstream: routes pass redirects on to the client"
            yield (*here, "redirects"), message
        if isinstance(route, TransferSettings) and "max_body" in route.model_fields_set:
            message = "has no effect: only upstream: routes forward bodies; here the limit is 64KiB"
            yield (*here, "max_body"), message
        if isinstance(route, TransferSettings):
            yield from _of_transfer(here, route, settings.memory)
        if isinstance(route, SourcesRoute):
            yield from _of_sources((*here, "sources"), route)
            if route.metalink is not None:
                yield from _of_metalink((*here, "metalink"), route.metalink)
            yield from _of_directories(here, route)
            alone = len(route.sources) == 1 and route.metalink is None
            if route.compare is Compare.SAMPLE and alone:
                message = "has no effect with one source; there is nothing to compare it with"
                yield (*here, "compare"), message
        if isinstance(route, QueryRoute) and not route.allow:
            message = "allows no host, so every request is refused; list hosts in allow:"
            yield (*here, "query"), message
        if isinstance(route, QueryRoute):
            yield from _of_secrets(here, route)


def _of_secrets(here: Steps, route: QueryRoute) -> Iterator[tuple[Location, str]]:
    """Warn about fields sent to hosts that clients name."""
    told = [key for key in ("headers", "host") if getattr(route, key)]
    if not route.headers_to:
        for key in told:
            yield (
                (*here, key),
                "isn't sent to any host; list the hosts that may get it in headers_to:",
            )
    elif not told:
        yield (*here, "headers_to"), "has no effect without headers: or host:"
    elif "*" in route.headers_to:
        message = (
            "sends headers: and host: to any host that a client names; list the intended hosts"
        )
        yield (*here, "headers_to"), message


def _of_metalink(here: Steps, metalink: MetalinkSettings) -> Iterator[tuple[Location, str]]:
    if metalink.at.startswith("/") and (trouble := directory_trouble(Path(metalink.at))):
        yield here, trouble
    if metalink.keys is not None and shutil.which("gpgv") is None:
        yield here, "needs the program gpgv to check signatures; install it"
    plain = metalink.at.startswith("http:") and metalink.keys is None
    if plain and metalink.verify is not Verify.OFF:
        message = "comes over http, where anyone on the way can change it; use https or keys:"
        yield here, message


def _of_sources(here: Steps, route: SourcesRoute) -> Iterator[tuple[Location, str]]:
    places = [source.location for source in route.sources]
    for index, source in enumerate(route.sources):
        key = "path" if source.url is None else "url"
        if source.location in places[:index]:
            message = "is already a source; to use it more, raise its connections:"
            yield (*here, index, key), message
        if source.path is not None and (trouble := directory_trouble(source.path)) is not None:
            yield (*here, index, key), trouble
        if "static_delay" in source.model_fields_set and route.delay is not Delay.STATIC:
            message = f"has no effect with delay: {route.delay}; it is for delay: static"
            yield (*here, index, "static_delay"), message


def _of_directories(here: Steps, route: SourcesRoute) -> Iterator[tuple[Location, str]]:
    """Warn about settings of servers on a route that has directories alone."""
    if route.metalink is not None or any(source.url is not None for source in route.sources):
        return
    for key in _OF_SERVERS:
        if key in route.model_fields_set:
            yield (*here, key), "has no effect: it is for servers, and all sources are directories"


def _of_transfer(
    here: Steps, route: TransferSettings, memory: int
) -> Iterator[tuple[Location, str]]:
    most = route.window // route.block_size - 1
    if "duplicate_threshold" in route.model_fields_set:
        if route.duplicate not in (Duplicate.NIBIB, Duplicate.IBRC):
            message = f"has no effect with duplicate: {route.duplicate}; it is for nibib and ibrc"
            yield (*here, "duplicate_threshold"), message
        elif route.duplicate_threshold > most:
            message = f"must be less than the number of blocks in the window; {most} is used"
            yield (*here, "duplicate_threshold"), message
    if "window" in route.model_fields_set and route.window > memory:
        message = f"is larger than memory: ({Size().write(memory)}) and can never be filled"
        yield (*here, "window"), message
