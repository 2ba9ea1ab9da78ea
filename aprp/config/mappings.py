"""The mappings of the configuration: where each is, its settings, and its name in messages."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel

from aprp.config.caching import CacheSettings, RouteCacheSettings
from aprp.config.metalink import MetalinkSettings
from aprp.config.routes import (
    KINDS,
    HealthSettings,
    SecureLinkSettings,
    SourceSettings,
    TlsSettings,
)
from aprp.config.settings import (
    AdminSettings,
    CertificateSettings,
    LimitSettings,
    LogSettings,
    Settings,
)


class Place(NamedTuple):
    """The keys that lead to a mapping, its model, and its name in messages."""

    keys: tuple[str, ...]
    model: type[BaseModel]
    called: str


PLACES: tuple[Place, ...] = (
    Place((), Settings, "the top level"),
    Place(("log",), LogSettings, "log:"),
    Place(("routes", "tls"), TlsSettings, "tls:"),
    Place(("routes", "secure_link"), SecureLinkSettings, "secure_link:"),
    Place(("routes", "health"), HealthSettings, "health:"),
    Place(("routes", "sources"), SourceSettings, "an item of sources:"),
    Place(("routes", "metalink"), MetalinkSettings, "metalink:"),
    Place(("routes",), KINDS["upstream"], "an upstream: route"),
    Place(("routes",), KINDS["sources"], "a sources: route"),
    Place(("routes",), KINDS["query"], "a query: route"),
    Place(("limits",), LimitSettings, "limits:"),
    Place(("routes", "cache"), RouteCacheSettings, "a route's cache:"),
    Place(("cache",), CacheSettings, "the cache: at the top level"),
    Place(("admin",), AdminSettings, "admin:"),
    Place(("certificates",), CertificateSettings, "an item of certificates:"),
)
"""All mappings; the three kinds of routes have one place."""
