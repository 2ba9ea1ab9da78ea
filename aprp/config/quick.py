"""Settings without a configuration file: one upstream or several sources on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from aprp.config.choices import PathRanges
from aprp.config.files import directory_trouble
from aprp.config.routes import Route, SourceSettings, SourcesRoute, UpstreamRoute
from aprp.config.settings import Settings
from aprp.core.http.urls import Url

DEFAULT_PORT = 8000


def for_upstream(url: str, port: int = DEFAULT_PORT) -> Settings:
    """Return settings that serve the URL at ``/`` on loopback, or raise ValueError."""
    try:
        route = UpstreamRoute(path="/", upstream=Url.parse(url), path_ranges=PathRanges.END)
    except ValueError as error:
        raise ValueError(f"{url}: {_sentence(error)}") from None
    return _on_loopback(route, port)


def for_sources(urls: Iterable[str], port: int = DEFAULT_PORT) -> Settings:
    """Return settings that serve the sources at ``/`` on loopback, or raise ValueError.

    A text that begins with ``/`` or ``.`` is a directory.
    """
    sources = []
    for url in urls:
        try:
            sources.append(_source(url))
        except ValueError as error:
            raise ValueError(f"{url}: {_sentence(error)}") from None
    try:
        route = SourcesRoute(path="/", sources=tuple(sources), path_ranges=PathRanges.END)
    except ValueError as error:
        raise ValueError(f"the sources: {_sentence(error)}") from None
    return _on_loopback(route, port)


def _source(text: str) -> SourceSettings:
    if not text.startswith(("/", ".")):
        return SourceSettings(url=Url.parse(text))
    path = Path(text).absolute()
    if (trouble := directory_trouble(path)) is not None:
        raise ValueError(trouble.removeprefix(f"{path} "))
    return SourceSettings(path=path)


def _on_loopback(route: Route, port: int) -> Settings:
    try:
        return Settings(listen=(f"tcp:{port}:interface=127.0.0.1",), routes=(route,))
    except ValueError as error:
        raise ValueError(f"the port: {_sentence(error)}") from None


def _sentence(error: ValueError) -> str:
    """Return what is wrong in one sentence."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return str(first.get("ctx", {}).get("error", first["msg"]))
