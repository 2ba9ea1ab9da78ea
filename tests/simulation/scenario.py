"""What happens in one simulated world, as plain values: made of a seed, dropped from, kept as JSON.

Everything a world does is decided here beforehand or follows from it. Lists hold what a scenario
can do without: the runner drops their members one by one to shrink a scenario that fails.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.network import Link

EPOCH = 1_750_000_000.0
"""Unix time at which every world begins."""
FOREVER = 1e9
PLAIN = Link()
ANY = -1
GONE = -1


@dataclass(frozen=True)
class Version:
    """One version of a file: `start` picks its bytes, `mtime` is in seconds from EPOCH."""

    size: int
    start: int
    mtime: int
    tag: str


@dataclass(frozen=True)
class File:
    versions: tuple[Version, ...]


@dataclass(frozen=True)
class Change:
    """From `at` (seconds from EPOCH), or from the request number `after` for the file, the origin
    has this version of it; GONE: it answers 404."""

    origin: int
    file: int
    version: int
    at: float | None = None
    after: int | None = None


@dataclass(frozen=True)
class Fault:
    """What an origin does wrong with the requests `first` and so on, `count` of them, counted for
    the file, or for all files where that is ANY. Between `since` and `until`.

    `after` are bytes of the body, `seconds` a time, `status` an answer's.
    """

    origin: int
    kind: str
    file: int = ANY
    first: int = 0
    count: int = 1
    since: float = 0.0
    until: float = FOREVER
    after: int = 0
    seconds: float = 0.0
    status: int = 503


@dataclass(frozen=True)
class Origin:
    """How an origin behaves when it behaves well."""

    link: Link = PLAIN
    think: float = 0.0
    ranges: bool = True
    if_range: bool = True
    """Whether it compares If-Range; if not, it always obeys Range."""
    etag: str = "strong"
    """strong: of the version, on every origin the same; own: its own; weak; none."""
    modified: str = "mtime"
    """mtime: the version's; date: that of the answer; none."""
    repeats: str = "all"
    """Which validators its 206 shows: all, none."""
    digests: tuple[str, ...] = ()
    length: str = "declared"
    """declared, chunked or close."""
    keeps: bool = True
    head: bool = True
    dated: bool = True
    redirect: int = 0
    """The status by which it leads to where a file is; 0: it answers itself."""
    redirect_to: tuple[int, ...] = ()
    """To which origins in turn; empty: to itself."""
    pinned: bool = False
    """Whether the place redirected to has the version of that moment for good."""


@dataclass(frozen=True)
class Route:
    """Its path is /r<its number>/, with a file's name behind that."""

    kind: str
    """upstream, sources, query, loop; none: there is no such route."""
    origins: tuple[int, ...]
    same: str = "modified"
    redirects: str = "same-host"
    compare: str = "off"
    block_size: int = 1 << 20
    window: int = 32 << 20
    delay: str = "adaptive"
    duplicate: str = "adaptive"
    path_ranges: str = "off"
    connections: int = 4
    connect_timeout: float = 5.0
    first_byte_timeout: float = 10.0
    between_bytes_timeout: float = 10.0
    send_timeout: float = 60.0
    resume_for: float = 30.0
    limit_rate: int = 0
    """Bytes a second; 0: no limit."""
    limit_rate_after: int = 0
    bandwidth: int = 0
    """Bytes a second of all its answers together; 0: no limit."""
    health_interval: float = 0.0
    """Seconds between health checks; 0: none."""
    request_buffering: str = "on"
    max_body: int = 64 << 20
    valid: float = -1.0
    """For how many seconds what the cache has is fresh; negative: the route has no cache."""
    pieces: int = 0
    """The length of the pieces that a Metalink has hashes of; 0: there is no Metalink."""
    http2: bool = False
    """Whether its origins are spoken to over HTTP/2, by prior knowledge."""


@dataclass(frozen=True)
class DiskFault:
    """What the disk of the cache does wrong between `since` and `until`.

    eio-read, eio-write, eio-open, eio-unlink, full, denied: calls fail; flip: bits of what is read
    are wrong; lose: writes don't reach the disk; index, malformed: SQLite fails; hang: no job ends.
    """

    kind: str
    since: float = 0.0
    until: float = FOREVER


@dataclass(frozen=True)
class Disk:
    """The disk of the cache. `size` is the cache's; 0: there is none.

    `killed` or `unpowered`: seconds after which the same daemon was ended so in an earlier life,
    whose cache is still there.
    """

    size: int = 0
    latency: float = 0.001
    faults: tuple[DiskFault, ...] = ()
    killed: float = 0.0
    unpowered: float = 0.0


@dataclass(frozen=True)
class Ask:
    """One request. `range` is a Range field's value; `if_range` is "held" for the ETag that the
    client was given for the file, or a value of its own."""

    route: int
    file: int
    method: str = "GET"
    range: str = ""
    in_path: str = ""
    if_range: str = ""
    minor: int = 1
    wait: float = 0.0
    pace: float = 0.0
    """Bytes a second that it takes; 0: all at once."""
    pause_at: int = -1
    pause_for: float = 0.0
    leave_at: int = -1
    leave: str = "fin"
    again: int = 0
    """For the library: how often it goes on to read once it failed or ended."""
    stop: int = -1
    upload: int = -1
    """Bytes of the body that it sends, by POST; negative: none."""


@dataclass(frozen=True)
class Client:
    """`http` or `library`; asks one after the other, or all at once where it pipelines."""

    kind: str
    start: float
    asks: tuple[Ask, ...]
    link: Link = PLAIN
    pipelined: bool = False
    trickle: int = 0
    """Bytes of a request that it sends at a time, 50 ms apart; 0: all."""
    address: int = ANY
    """Whose address it has: that of the client with this number, or one of its own."""
    http2: bool = False
    proxy: int = 0
    """The version of the PROXY protocol by which a balancer tells of it; 0: it comes by itself."""


@dataclass(frozen=True)
class Limits:
    """The daemon's limits of clients, as in its settings."""

    connections: int = 10_000
    connections_per_address: int = 64
    requests_per_address: int = 32
    memory: int = 0
    """Bytes of the process; 0: no limit."""


@dataclass(frozen=True)
class Shortage:
    """From when to when, in seconds from EPOCH, the process has more memory than any limit."""

    since: float
    until: float


@dataclass(frozen=True)
class Names:
    """A name's lookup: seconds until it is answered, negative for never; whether it exists."""

    origin: int
    delay: float = 0.005
    found: bool = True


@dataclass(frozen=True)
class Operation:
    """What the operator does at that time: reload, drain or resume (`origin`).

    A reload finds these routes and limits in the file. `bad` says why it can't be used: faulty, or
    unbound for a port that is in use; empty: it is good.
    """

    at: float
    kind: str
    origin: int = ANY
    routes: tuple[Route, ...] = ()
    limits: Limits = Limits()
    memory: int = 512 << 20
    bad: str = ""
    ports: int = 0
    """How many ports the daemon listens on besides its first."""


@dataclass(frozen=True)
class Scenario:
    seed: int
    name: str
    files: tuple[File, ...]
    origins: tuple[Origin, ...]
    routes: tuple[Route, ...]
    clients: tuple[Client, ...]
    changes: tuple[Change, ...] = ()
    faults: tuple[Fault, ...] = ()
    names: tuple[Names, ...] = ()
    stop_at: float | None = None
    stop_timeout: float = 0.0
    cut_after: float | None = None
    """Seconds from the stop to a second signal."""
    memory: int = 512 << 20
    limits: Limits = Limits()
    operations: tuple[Operation, ...] = ()
    disk: Disk = Disk()
    shortages: tuple[Shortage, ...] = ()
    note: str = field(default="", compare=False)
    """In the corpus: what it found."""

    @property
    def drain_seconds(self) -> float:
        """How long responses in flight may go on after the stop."""
        if self.cut_after is None:
            return self.stop_timeout
        return min(self.stop_timeout, self.cut_after)


def to_json(scenario: Scenario) -> str:
    """Defaults are left out."""
    return json.dumps(_plain(scenario), separators=(",", ":"))


def from_json(text: str) -> Scenario:
    made = _made(Scenario, json.loads(text))
    assert isinstance(made, Scenario)
    return made


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        found = {}
        for each in dataclasses.fields(value):
            held = getattr(value, each.name)
            if each.default is dataclasses.MISSING or held != each.default:
                found[each.name] = _plain(held)
        return found
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _made(kind: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        assert isinstance(kind, type)
        return kind(**{name: _made(hints[name], each) for name, each in value.items()})
    if isinstance(kind, types.UnionType):
        return value
    if typing.get_origin(kind) is tuple:
        return tuple(_made(typing.get_args(kind)[0], each) for each in value)
    return value
