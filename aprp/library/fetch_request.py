"""What a program, or ``aprp get``, asks a transfer for.

The values here are plain: settings that a program names are checked in `arguments`, by the models
of the configuration, which take long to load.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from aprp.core.http.urls import Url
from aprp.core.recovery.pieces import Proof
from aprp.core.recovery.versions import Facts
from aprp.core.values import dataclass
from aprp.upstream.http.guard import Guard, own_host_or
from aprp.upstream.http.names import Names
from aprp.upstream.http.trust import UNVERIFIED, trust_of
from aprp.upstream.transfer.options import FileLocation, TransferOptions


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """The file to fetch: where the sources have it, and by which rules.

    `rules` are those of the transfer but for `trust` and `reach`, which stand here as `ca`, a PEM
    file of CA certificates (None: the system's), as `verify`, whether certificates are verified at
    all, and as `listed_by`. `complete` is the length of the file, if it is known; it needs
    `same: length`. With a `proof`, only verified pieces are read. With `listed_by`, the URL of a
    list that named the sources, only public addresses and that URL's own host and port are
    connected to, and only that host gets the headers.
    """

    locations: tuple[FileLocation, ...]
    rules: TransferOptions = field(default_factory=TransferOptions)
    ca: Path | None = None
    verify: bool = True
    complete: int | None = None
    listed_by: Url | None = None
    proof: Proof | None = None

    @property
    def known(self) -> Facts | None:
        """What is known of the file before any source was asked."""
        return None if self.complete is None else Facts(self.complete)

    def scheduled(self, **changes: Any) -> FetchRequest:
        """Return the request with changes to its `SchedulingSettings`."""
        scheduling = replace(self.rules.scheduling, **changes)
        return replace(self, rules=self.rules._replace(scheduling=scheduling))

    def options(self, names: Names) -> TransferOptions:
        """Return the transfer's options; `names` looks up the hosts of redirects."""
        trust = trust_of(self.ca) if self.verify else UNVERIFIED
        reach = own_host_or(Guard(names), trust, self.rules.timeouts.connect)
        options = self.rules._replace(trust=trust, reach=reach)
        if self.proof is not None:
            options = options.with_proof(self.proof)
        if self.listed_by is None:
            return options
        home = self.listed_by
        return options._replace(reach=lambda url, own: reach(url, home), headers_to=(home.host,))


def urls_of(texts: Iterable[str]) -> tuple[Url, ...]:
    """Parse the URLs of a file, leaving out duplicates. Raise ValueError if one is invalid."""
    return tuple(dict.fromkeys(map(_url, texts)))


def _url(text: str) -> Url:
    try:
        url = Url.parse(text)
        url.refuse_dots()
    except ValueError as error:
        raise ValueError(f"{text} {error}") from None
    return url
