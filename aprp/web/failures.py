"""Turn errors into statuses, sentences and Proxy-Status fields; the one place that does.

Clients are told what happened and not where: the names and addresses of upstreams are the
operator's affair, as with other proxies. A client that named the sources itself reads the names
that it gave, and no others.
"""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus

from aprp.core.http.fields import Fields
from aprp.core.values import dataclass
from aprp.upstream.errors import OWN_FAULT, SourceError
from aprp.upstream.transfer.failures import TransferFailed


class Refusal(Exception):
    """A request that isn't served; the text is the sentence the client gets.

    `kind` is an error type of RFC 9209 section 2.3; `fields` go into the answer.
    """

    def __init__(
        self,
        status: int,
        text: str,
        kind: str = "http_request_error",
        fields: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(text)
        self.status = status
        self.kind = kind
        self.fields = fields


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that aprp makes itself because there is no other."""

    status: int
    kind: str
    text: str
    fields: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def body(self) -> bytes:
        return f"{self.status} {reason_phrase(self.status)}: {self.text}\n".encode()

    def head(self) -> Fields:
        details = re.sub(r"[^ !#-\[\]-~]", "?", self.text)
        status = f'aprp; error={self.kind}; details="{details}"'
        return Fields(
            (
                (b"Content-Type", b"text/plain; charset=utf-8"),
                (b"Content-Length", b"%d" % len(self.body)),
                (b"Proxy-Status", status.encode()),
                *self.fields,
            )
        )


def failure_of(error: BaseException, by_name: bool = False) -> Failure:
    """Return what a client is told of an error; `by_name` where it named the sources itself."""
    if isinstance(error, Refusal):
        return Failure(error.status, error.kind, str(error), error.fields)
    if isinstance(error, SourceError):
        return Failure(_status_of(error), error.kind, _told(error, by_name))
    return Failure(500, OWN_FAULT.kind, str(OWN_FAULT))


def _status_of(error: SourceError) -> int:
    if error.kind == "connection_limit_reached":
        return 503
    if isinstance(error, TransferFailed) and (error.missing or error.forbidden):
        return 404 if error.missing else 403
    return 504 if error.timed_out else 502


def _told(error: SourceError, by_name: bool) -> str:
    """Return the text of an error with no names but those that the client gave.

    Sources that it didn't name are numbered from 1, in the order of the route.
    """
    if isinstance(error, TransferFailed):
        listed = (
            f"{name if by_name else f'source {number}'}: {why.told('')}"
            for number, (name, why) in enumerate(error.causes, 1)
        )
        return f"no source can serve this: {'; '.join(listed)}"
    return error.reason.told((by_name and error.reason.source) or "the upstream")


_PHRASES = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable"}
"""Those of RFC 9110 section 15 that Python knows by older names."""


@cache
def reason_phrase(status: int) -> str:
    """Return the reason phrase of a status."""
    try:
        return _PHRASES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
