"""What Metalinks fail with."""

from __future__ import annotations

from aprp.core.reasons import Name
from aprp.upstream.errors import SourceError


class NoMetalink(SourceError):
    """Raised if what a Metalink says can't be known. `absent`: there is none for this file."""

    kind = "destination_unavailable"

    def __init__(self, text: str, absent: bool = False) -> None:
        super().__init__("", "the Metalink of the file can't be used", Name(f": {text}"))
        self.absent = absent
