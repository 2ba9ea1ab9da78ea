"""What all parts of a store work with."""

from __future__ import annotations

from typing import Any

from aprp.cache.store.figures import Figures
from aprp.cache.store.folder import Folder
from aprp.cache.store.threads import StoreThreads
from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Tools:
    """The directory, the threads that wait for it, the reactor, and what is counted."""

    folder: Folder
    threads: StoreThreads
    reactor: Any
    figures: Figures
