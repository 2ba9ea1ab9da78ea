"""The configuration, from a YAML file or the command line, as frozen settings."""

from aprp.config.caching import CacheSettings, RouteCacheSettings
from aprp.config.choices import (
    AccessFormat,
    Compare,
    DataPlane,
    Delay,
    Duplicate,
    Http2,
    Level,
    ListenHttp2,
    PathRanges,
    Redirects,
    RequestBuffering,
    Same,
    UnderscoreFields,
)
from aprp.config.faults import ConfigFaults, Fault, Position
from aprp.config.load import Loaded, find, load, load_text
from aprp.config.metalink import MetalinkSettings
from aprp.config.quick import for_sources, for_upstream
from aprp.config.routes import (
    HealthSettings,
    QueryRoute,
    Route,
    RouteSettings,
    SourceSettings,
    SourcesRoute,
    TlsSettings,
    TransferSettings,
    UpstreamRoute,
)
from aprp.config.schema import json_schema
from aprp.config.settings import (
    AdminSettings,
    CertificateSettings,
    LimitSettings,
    LogSettings,
    Settings,
)
from aprp.core.http.urls import Url

__all__ = [
    "AccessFormat",
    "AdminSettings",
    "CacheSettings",
    "CertificateSettings",
    "Compare",
    "ConfigFaults",
    "DataPlane",
    "Delay",
    "Duplicate",
    "Fault",
    "HealthSettings",
    "Http2",
    "Level",
    "LimitSettings",
    "ListenHttp2",
    "Loaded",
    "LogSettings",
    "MetalinkSettings",
    "PathRanges",
    "Position",
    "QueryRoute",
    "Redirects",
    "RequestBuffering",
    "Route",
    "RouteCacheSettings",
    "RouteSettings",
    "Same",
    "Settings",
    "SourceSettings",
    "SourcesRoute",
    "TlsSettings",
    "TransferSettings",
    "UnderscoreFields",
    "UpstreamRoute",
    "Url",
    "find",
    "for_sources",
    "for_upstream",
    "json_schema",
    "load",
    "load_text",
]
