"""The configuration, from a YAML file or the command line, as frozen settings.

Names are looked up when first used: who makes settings of one kind doesn't load all of them, nor
what reads files.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aprp.config.caching import CacheSettings as CacheSettings
    from aprp.config.caching import RouteCacheSettings as RouteCacheSettings
    from aprp.config.choices import AccessFormat as AccessFormat
    from aprp.config.choices import Compare as Compare
    from aprp.config.choices import DataPlane as DataPlane
    from aprp.config.choices import Delay as Delay
    from aprp.config.choices import Duplicate as Duplicate
    from aprp.config.choices import Http2 as Http2
    from aprp.config.choices import Level as Level
    from aprp.config.choices import ListenHttp2 as ListenHttp2
    from aprp.config.choices import PathRanges as PathRanges
    from aprp.config.choices import Redirects as Redirects
    from aprp.config.choices import RequestBuffering as RequestBuffering
    from aprp.config.choices import Same as Same
    from aprp.config.choices import UnderscoreFields as UnderscoreFields
    from aprp.config.faults import ConfigFaults as ConfigFaults
    from aprp.config.faults import Fault as Fault
    from aprp.config.faults import Position as Position
    from aprp.config.loading import Loaded as Loaded
    from aprp.config.loading import control_in as control_in
    from aprp.config.loading import find as find
    from aprp.config.loading import load as load
    from aprp.config.loading import load_text as load_text
    from aprp.config.metalink import MetalinkSettings as MetalinkSettings
    from aprp.config.quick import for_sources as for_sources
    from aprp.config.quick import for_upstream as for_upstream
    from aprp.config.routes import HealthSettings as HealthSettings
    from aprp.config.routes import QueryRoute as QueryRoute
    from aprp.config.routes import Route as Route
    from aprp.config.routes import RouteSettings as RouteSettings
    from aprp.config.routes import SourceSettings as SourceSettings
    from aprp.config.routes import SourcesRoute as SourcesRoute
    from aprp.config.routes import TlsSettings as TlsSettings
    from aprp.config.routes import TransferSettings as TransferSettings
    from aprp.config.routes import UpstreamRoute as UpstreamRoute
    from aprp.config.schema import json_schema as json_schema
    from aprp.config.settings import AdminSettings as AdminSettings
    from aprp.config.settings import CertificateSettings as CertificateSettings
    from aprp.config.settings import LimitSettings as LimitSettings
    from aprp.config.settings import LogSettings as LogSettings
    from aprp.config.settings import Settings as Settings
    from aprp.core.http.urls import Url as Url

_HOMES = {
    "AccessFormat": "aprp.config.choices",
    "AdminSettings": "aprp.config.settings",
    "CacheSettings": "aprp.config.caching",
    "CertificateSettings": "aprp.config.settings",
    "Compare": "aprp.config.choices",
    "ConfigFaults": "aprp.config.faults",
    "DataPlane": "aprp.config.choices",
    "Delay": "aprp.config.choices",
    "Duplicate": "aprp.config.choices",
    "Fault": "aprp.config.faults",
    "HealthSettings": "aprp.config.routes",
    "Http2": "aprp.config.choices",
    "Level": "aprp.config.choices",
    "LimitSettings": "aprp.config.settings",
    "ListenHttp2": "aprp.config.choices",
    "Loaded": "aprp.config.loading",
    "LogSettings": "aprp.config.settings",
    "MetalinkSettings": "aprp.config.metalink",
    "PathRanges": "aprp.config.choices",
    "Position": "aprp.config.faults",
    "QueryRoute": "aprp.config.routes",
    "Redirects": "aprp.config.choices",
    "RequestBuffering": "aprp.config.choices",
    "Route": "aprp.config.routes",
    "RouteCacheSettings": "aprp.config.caching",
    "RouteSettings": "aprp.config.routes",
    "Same": "aprp.config.choices",
    "Settings": "aprp.config.settings",
    "SourceSettings": "aprp.config.routes",
    "SourcesRoute": "aprp.config.routes",
    "TlsSettings": "aprp.config.routes",
    "TransferSettings": "aprp.config.routes",
    "UnderscoreFields": "aprp.config.choices",
    "UpstreamRoute": "aprp.config.routes",
    "Url": "aprp.core.http.urls",
    "control_in": "aprp.config.loading",
    "find": "aprp.config.loading",
    "for_sources": "aprp.config.quick",
    "for_upstream": "aprp.config.quick",
    "json_schema": "aprp.config.schema",
    "load": "aprp.config.loading",
    "load_text": "aprp.config.loading",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'aprp.config' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
