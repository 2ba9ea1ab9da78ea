"""What `aprp init` writes: the few settings that were given, and a comment for each."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aprp.core.values import dataclass

_HEAD = """\
# The configuration of aprp. Check it after each change: aprp check FILE
# Commented settings show examples. `aprp init --sample` prints every setting with a comment.

# Where clients connect: one or more endpoint strings.
listen:
  - {listen}

"""
_ADMIN = """\
# The operator's port, with the status page, /metrics and /healthz. It is on loopback unless an
# interface is named; give it a password (basic_auth: beside listen:) where others can reach it.
admin: {admin}

"""
_NO_ADMIN = """\
# The operator's port, with the status page, /metrics and /healthz, on loopback.
# admin: tcp:8001

"""
_LOG = """\
log:
  # debug, info, warn or error. The log goes to standard error unless file: names a file.
  level: info
  # file: null
  # A file for the access log, or "-" for standard output.
  # access: "-"

# Bytes that wait for clients, over all transfers.
# memory: 512MiB

# How long responses may go on after a stop was requested.
# stop_timeout: 30s

# The longest path that matches decides. A request that matches no route gets 404.
routes:
"""
_UPSTREAM = """\
  # A reverse proxy: a request for /film.mp4 goes to film.mp4 under this URL.
  - path: /
    upstream: {url}
"""
_SOURCES = """\
  # The same files on several mirrors. A request for /film.mp4 is fetched from all of them at once.
  - path: /
    sources:
{sources}
    # What makes two copies the same file: modified, length or digest.
    # same: modified
"""
_SOURCE = """\
      - url: {url}
        # Connections to this mirror at once.
        # connections: 4
"""
_ROUTE = """\
    # Whether /film.mp4/START/END requests a range: end, length or off.
    # path_ranges: end
    # The networks that clients may come from; by default all.
    # allow_clients: [192.168.0.0/16]
"""
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9:/._~%?=&+\\-]*[A-Za-z0-9/]")
_ADDRESS_AND_PORT = re.compile(r"(?:(?P<v4>[0-9.]+):|\[(?P<v6>[0-9A-Fa-f:]+)\]:)?(?P<port>[0-9]+)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the configuration is to say: one upstream, or sources. No `admin`: no such port."""

    upstream: str | None
    sources: Sequence[str]
    listen: str
    admin: str | None


def endpoint(text: str) -> str:
    """The endpoint string for ``PORT`` (on loopback), ``ADDRESS:PORT``, or such a string itself."""
    found = _ADDRESS_AND_PORT.fullmatch(text)
    if found is None:
        return text
    port = found["port"]
    if found["v6"]:
        return f"tcp6:{port}:interface=" + found["v6"].replace(":", r"\:")
    return f"tcp:{port}:interface={found['v4'] or '127.0.0.1'}"


def configuration(wanted: Wanted) -> str:
    """The text of a file that says it."""
    admin = _NO_ADMIN if wanted.admin is None else _ADMIN.format(admin=_quoted(wanted.admin))
    if wanted.upstream is not None:
        route = _UPSTREAM.format(url=_quoted(wanted.upstream))
    else:
        sources = "".join(_SOURCE.format(url=_quoted(url)) for url in wanted.sources)
        route = _SOURCES.format(sources=sources.rstrip("\n"))
    return _HEAD.format(listen=_quoted(wanted.listen)) + admin + _LOG + route + _ROUTE


def _quoted(text: str) -> str:
    """The text as a scalar of YAML."""
    return text if _PLAIN.fullmatch(text) else "'" + text.replace("'", "''") + "'"
