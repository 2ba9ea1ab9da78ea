"""The one place where what went wrong becomes a status, a sentence and a Proxy-Status field.

Clients are told what happened and not where: the names and addresses of upstreams are the
operator's affair, as with other proxies. Only who named the sources is told of them by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

from aprp.core.http.fields import Fields
from aprp.upstream.errors import OWN_FAULT, SourceError
from aprp.upstream.transfer.transfer import TransferFailed

_SUBJECT = re.compile(r"unix:[^\s:]+|\S+(?=: | may not be reached)|\S+:[0-9]+(?=:? )")
"""What the text of an error begins with: host and port, a host, or a URL."""
_URL = re.compile(r"https?://[^\s;,]+")
_ADDRESS = re.compile(r"(?<=: its address )\S+ |(?<= has the host )\S+, ")


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
    """What a client is told of an error; `by_name` where it named the sources itself."""
    if isinstance(error, Refusal):
        return Failure(error.status, error.kind, str(error), error.fields)
    if isinstance(error, SourceError):
        text = str(error) if by_name else without_names(error)
        return Failure(_status_of(error), error.kind, text)
    return Failure(500, "proxy_internal_error", OWN_FAULT)


def _status_of(error: SourceError) -> int:
    if error.kind == "connection_limit_reached":
        return 503
    return 504 if error.timed_out else 502


def without_names(error: SourceError) -> str:
    """The text of an error without hosts, addresses and URLs; sources are numbered from 1.

    The numbers are those of the places in the route, where each source failed.
    """
    if isinstance(error, TransferFailed):
        said = (_nameless(why, "").lstrip(": ") for _, why in error.reasons)
        listed = "; ".join(f"source {number}: {why}" for number, why in enumerate(said, 1))
        return f"no source can serve this: {listed}"
    return _nameless(str(error), "the upstream")


def _nameless(text: str, subject: str) -> str:
    found = _SUBJECT.match(text)
    if found is not None:
        text = subject + text[found.end() :]
    return _URL.sub("another place", _ADDRESS.sub("", text))


def reason_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
