"""The configuration as JSON Schema (2020-12), for editors that complete and check YAML.

It describes values as editors parse them: ``keep: 5`` may be a number and ``off`` may be false.
Rules that involve more than one key are left to ``aprp check``.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from aprp.config.caching import CacheSettings
from aprp.config.descriptions import description_of
from aprp.config.mappings import PLACES
from aprp.config.scalars import Scalar
from aprp.config.settings import AdminSettings, Settings

_PREFIXES: dict[type[BaseModel], str] = {AdminSettings: "admin.", CacheSettings: "cache."}
_EXAMPLES: dict[str, list[Any]] = {
    "access": ["access.log", "-"],
    "admin": ["tcp:8001", {"listen": "tcp:8001", "basic_auth": "users.htpasswd"}],
    "admin.listen": ["tcp:8001"],
    "allow": [["*.example.org", "media.example.net"]],
    "allow_clients": [["192.168.0.0/16"]],
    "bandwidth": ["100MiB"],
    "basic_auth": ["users.htpasswd"],
    "cache": [{"valid": "1h"}, "off"],
    "cache.path": ["/var/cache/aprp"],
    "cache.size": ["100GiB"],
    "certificate": ["fullchain.pem"],
    "certificates": [[{"certificate": "fullchain.pem", "key": "privkey.pem"}]],
    "key": ["privkey.pem"],
    "control": ["/run/aprp/ctl.sock"],
    "cors": [["https://player.example"], ["*"]],
    "hosts": [["films.example.org"]],
    "response_headers": [{"X-Frame-Options": "DENY"}],
    "secret": ["a long random text"],
    "secure_link": [{"secret": "a long random text"}],
    "allow_addresses": [["10.1.0.0/16"]],
    "ca": ["upstream-ca.pem"],
    "file": ["aprp.log"],
    "health": [{"path": "/healthz"}],
    "headers": [{"X-Token": "abc"}],
    "host": ["media.example.org"],
    "locations": [["de", "at"]],
    "keys": ["keys.asc"],
    "limits": [{"connections_per_address": 64}],
    "limit_rate": ["4MB"],
    "at": ["https://a.example/pub/{path}.meta4", "/srv/meta4", "links"],
    "metalink": ["https://a.example/pub/{path}.meta4", {"at": "/srv/meta4", "keys": "keys.asc"}],
    "listen": [["tcp:8000:interface=127.0.0.1"], ["systemd:domain=INET:name=aprp"]],
    "log": [{"level": "warn", "file": "aprp.log"}],
    "path": ["/films/"],
    "query": ["host"],
    "request_id": ["X-Request-ID"],
    "routes": [[{"path": "/films/", "upstream": "https://a.example/films/"}]],
    "sources": [[{"url": "https://a.example/pub/"}, {"url": "https://b.example/pub/"}]],
    "targeted": [["CDN-Cache-Control"]],
    "tls": [{"ca": "upstream-ca.pem"}],
    "trusted_proxies": [["10.0.0.0/8"]],
    "upstream": ["https://a.example/films/"],
    "upgrades": [["websocket"]],
    "url": ["https://a.example/pub/"],
    "valid": ["1h"],
}


def json_schema() -> dict[str, Any]:
    """Return the schema as plain dicts and lists."""
    schema = Settings.model_json_schema()
    for place in PLACES:
        about = schema["$defs"][place.model.__name__] if place.keys else schema
        _finish(place.model, about["properties"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "aprp configuration",
    }


def _finish(model: type[BaseModel], properties: dict[str, Any]) -> None:
    """Add descriptions and examples, and write defaults as in a file (``1MiB``, not 1048576)."""
    for name, field in model.model_fields.items():
        about = properties[name]
        about["description"] = description_of(model, name)
        default = about.pop("default", None)
        scalar = next((each for each in field.metadata if isinstance(each, Scalar)), None)
        if scalar is not None and not field.is_required():
            default = scalar.write(field.default)
            about["default"] = default
        full = f"{_PREFIXES.get(model, '')}{name}"
        about["examples"] = _EXAMPLES.get(full, _EXAMPLES.get(name, [default]))
        about.pop("title", None)
