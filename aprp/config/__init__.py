"""The configuration: a YAML file, or the few words of a quick start, as frozen settings."""

from aprp.config.faults import ConfigFaults, Fault, Place
from aprp.config.settings import (
    AccessFormat,
    Compare,
    Delay,
    Duplicate,
    Level,
    LogSettings,
    PathRanges,
    QueryRoute,
    Redirects,
    Route,
    RouteSettings,
    Same,
    Settings,
    SourceSettings,
    SourcesRoute,
    TlsSettings,
    TransferSettings,
    UpstreamRoute,
)
from aprp.core.url import Url

__all__ = [
    "AccessFormat",
    "Compare",
    "ConfigFaults",
    "Delay",
    "Duplicate",
    "Fault",
    "Level",
    "LogSettings",
    "PathRanges",
    "Place",
    "QueryRoute",
    "Redirects",
    "Route",
    "RouteSettings",
    "Same",
    "Settings",
    "SourceSettings",
    "SourcesRoute",
    "TlsSettings",
    "TransferSettings",
    "UpstreamRoute",
    "Url",
]
