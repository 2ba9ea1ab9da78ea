"""The one place where what went wrong becomes a status, a sentence and a Proxy-Status field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

from aprp.core.fields import Fields
from aprp.upstream.errors import SourceError


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


def failure_of(error: BaseException) -> Failure:
    """What a client is told of an error."""
    if isinstance(error, Refusal):
        return Failure(error.status, error.kind, str(error), error.fields)
    if isinstance(error, SourceError):
        return Failure(504 if error.timed_out else 502, error.kind, str(error))
    return Failure(500, "proxy_internal_error", "the proxy itself failed; its log says more")


def reason_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
