"""What can go wrong on the way to a source, each with its Proxy-Status error type (RFC 9209).

The text of an error is one sentence for an operator: which source, what happened.
"""

from __future__ import annotations

import errno
from typing import Self

from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from twisted.internet import error

from aprp.core.reasons import Name, Reason

OWN_FAULT = Reason("proxy_internal_error", (": the proxy itself failed; see its log",))
"""What is said when the fault is no source's."""


class SourceError(Exception):
    """A source didn't give what it was asked for."""

    kind = "destination_unavailable"
    """RFC 9209 section 2.3."""

    timed_out = False
    """Whether it was silence that ended it."""

    def __init__(
        self,
        source: str,
        first: str | Name,
        *more: str | Name,
        kind: str | None = None,
        status: int | None = None,
    ) -> None:
        self.kind = kind or self.kind
        self.reason = Reason(self.kind, (first, *more), status, source)
        super().__init__(str(self.reason))

    @classmethod
    def by(cls, why: Reason, source: str) -> Self:
        """Return the error for a reason, of the source if the reason names none."""
        told = why.of(source)
        return cls(told.source, *told.words, kind=told.kind, status=told.status)


class ConnectFailed(SourceError):
    """Raised when there is no connection, so that nothing of the request was sent."""

    def __init__(
        self,
        source: str,
        first: str | Name,
        *more: str | Name,
        kind: str | None = None,
        status: int | None = None,
        timed_out: bool = False,
    ) -> None:
        super().__init__(source, first, *more, kind=kind, status=status)
        self.timed_out = timed_out


class NoAnswer(SourceError):
    """The connection ended before the first byte of an answer."""

    kind = "connection_terminated"


class NotPermitted(SourceError):
    """The file is there, and the user that runs aprp may not read it."""


class StreamRefused(NoAnswer):
    """The source says that it did nothing about the request, so that it may be sent again."""


class NeedsHttp1(NoAnswer):
    """The source wants HTTP/1.1 for the request."""


class AnswerTimeout(SourceError):
    """Raised when no response head came in time."""

    kind = "http_response_timeout"
    timed_out = True


class SourceLied(SourceError):
    """The answer isn't HTTP, has two readings, or isn't what was asked for."""

    kind = "http_protocol_error"


class WrongBytes(SourceError):
    """The source sent bytes that don't have their hash."""

    kind = "http_protocol_error"


class HeadTooLarge(SourceError):
    """The answer's head doesn't end within the bounds."""

    kind = "http_response_header_section_size"


class BodyBroken(SourceError):
    """The body ended before its framing says it does."""

    kind = "http_response_incomplete"


class BodyStalled(BodyBroken):
    """Raised when no byte of the body came in time."""

    kind = "connection_read_timeout"
    timed_out = True


class Exhausted(Exception):
    """Raised when no source can continue; `reasons` are (source, why) for each."""

    def __init__(self, reasons: tuple[tuple[str, Reason], ...]) -> None:
        super().__init__("; ".join(str(why.of(source)) for source, why in reasons))
        self.reasons = reasons


def connect_failed(where: str, reason: BaseException) -> ConnectFailed:
    """The error for a connection to `where` (host:port) that couldn't be made."""
    if isinstance(reason, (error.TimeoutError, error.ConnectingCancelledError)):
        return ConnectFailed(
            where, "did not accept in time", kind="connection_timeout", timed_out=True
        )
    if isinstance(reason, error.ConnectionRefusedError):
        return ConnectFailed(where, "refused the connection", kind="connection_refused")
    if isinstance(reason, error.DNSLookupError):
        return ConnectFailed(where, ": the name has no address", kind="dns_error")
    if getattr(reason, "osError", None) == errno.ENOENT:
        return ConnectFailed(where, ": there is no such socket", kind="connection_refused")
    if getattr(reason, "osError", None) in (errno.EMFILE, errno.ENFILE):
        return ConnectFailed(
            where, ": no file descriptor is left to connect", kind="connection_limit_reached"
        )
    return ConnectFailed(
        where, "can't be reached", Name(f": {reason}"), kind="destination_ip_unroutable"
    )


def lost_before_answer(where: str, reason: BaseException | None) -> SourceError:
    """The error for a connection to `where` that ended before an answer began."""
    if isinstance(reason, VerificationError):
        return ConnectFailed(where, ": its certificate names another", kind="tls_certificate_error")
    if isinstance(reason, CertificateError):
        text = ": its certificate names no host; it needs a subjectAltName"
        return ConnectFailed(where, text, kind="tls_certificate_error")
    if isinstance(reason, SSL.Error):
        if "certificate verify failed" in str(reason):
            return ConnectFailed(
                where, ": the certificate isn't trusted", kind="tls_certificate_error"
            )
        return ConnectFailed(where, ": the TLS handshake failed", kind="tls_protocol_error")
    return NoAnswer(where, "closed the connection without an answer")
