"""aprp: an asynchronous Python range proxy.

Public names are looked up when first used, so that importing a part of the package (the pure
``aprp.core`` above all) never loads Twisted.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aprp.library.downloader import DelayRequestAlgorithm as DelayRequestAlgorithm
    from aprp.library.downloader import Downloader as Downloader
    from aprp.library.downloader import DuplicateRequestAlgorithm as DuplicateRequestAlgorithm
    from aprp.library.downloader import RequestsDownloader as RequestsDownloader
    from aprp.library.open_transfer import open_transfer as open_transfer
    from aprp.upstream.transfer.failures import TransferFailed as TransferFailed

__version__ = "0.1.0"

_HOMES = {
    "DelayRequestAlgorithm": "aprp.library.downloader",
    "Downloader": "aprp.library.downloader",
    "DuplicateRequestAlgorithm": "aprp.library.downloader",
    "RequestsDownloader": "aprp.library.downloader",
    "TransferFailed": "aprp.upstream.transfer.failures",
    "open_transfer": "aprp.library.open_transfer",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'aprp' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
