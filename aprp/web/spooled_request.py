"""A request whose body is spooled to memory or to a temporary file before it is served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.web.server import Request

from aprp.web.failures import Refusal


class SpooledRequest(Request):
    """Keeps the body of a request while it is received."""

    spooled = 0
    """Bytes of the body that were spooled."""

    def gotLength(self, length: int | None) -> None:
        """Prepare for a body, which may need a file; raises Refusal where none can be created."""
        with _spooling():
            super().gotLength(length)

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a part of the body; raises Refusal where it can't be written."""
        self.spooled += len(data)
        with _spooling():
            super().handleContentChunk(data)

    def discard(self) -> None:
        """Discard a request that was refused while it was received."""
        if self.content is not None:
            self.content.close()


@contextmanager
def _spooling() -> Iterator[None]:
    """Refuse this request alone when the disk is full or no descriptor is left."""
    try:
        yield
    except OSError:
        text = "the proxy has no room for the request's body; try again"
        raise Refusal(503, text, "proxy_internal_error") from None


def too_large(limit: int) -> Refusal:
    """Return the refusal of a request body over the limit, in bytes."""
    return Refusal(413, f"the request's body is larger than the limit of {limit} bytes")
