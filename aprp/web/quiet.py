"""A site that leaves no lines of its own in the log."""

from __future__ import annotations

from twisted.web.http import Request
from twisted.web.server import Site


class QuietSite(Site):
    """A site for the daemon's own pages: neither starts nor requests are logged."""

    noisy = False

    def log(self, request: Request) -> None:
        """Do nothing: Twisted would write an access line."""

    def acceptableProtocols(self) -> list[bytes]:
        """Return the protocols that are offered by ALPN."""
        return [b"http/1.1"]
