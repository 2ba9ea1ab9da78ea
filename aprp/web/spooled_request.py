"""A request whose body is spooled to memory or to a temporary file before it is served."""

from __future__ import annotations

from twisted.web.server import Request

from aprp.web.failures import Refusal


class SpooledRequest(Request):
    """Keeps the body of a request while it is received."""

    spooled = 0
    """Bytes of the body that were spooled."""

    def gotLength(self, length: int | None) -> None:
        """Prepare for a body, which may need a file; raises Refusal where none can be created."""
        if length == 0:
            return
        try:
            super().gotLength(length)
        except OSError:
            raise _no_room() from None

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a part of the body; raises Refusal where it can't be written."""
        self.spooled += len(data)
        try:
            super().handleContentChunk(data)
        except OSError:
            raise _no_room() from None

    def discard(self) -> None:
        """Discard a request that was refused while it was received."""
        if self.content is not None:
            self.content.close()


def _no_room() -> Refusal:
    """Return the refusal of a request when the disk is full or no descriptor is left."""
    text = "the proxy has no room for the request's body; try again"
    return Refusal(503, text, "proxy_internal_error")


def too_large(limit: int) -> Refusal:
    """Return the refusal of a request body over the limit, in bytes."""
    return Refusal(413, f"the request's body is larger than the limit of {limit} bytes")
