"""Run the reactor in a background thread, once per process, for programs that don't run it.

crochet runs it. A forked child has neither its parent's threads nor a usable reactor (both
processes would share one epoll), so the child discards crochet and the reactor and creates new ones
when first needed.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar, cast

T = TypeVar("T")

_starting = threading.Lock()
_started_in: int | None = None
_forked = False


def _in_child() -> None:
    global _starting, _started_in, _forked
    _starting = threading.Lock()
    _started_in = None
    _forked = True


os.register_at_fork(after_in_child=_in_child)


def running_reactor() -> Any:
    """Return the reactor, started if necessary. Call it outside the reactor's thread."""
    with _starting:
        if _started_in != os.getpid():
            _start()
    from twisted.internet import reactor

    return reactor


def wait_for(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on the reactor and block until it returns its result.

    An exception in this thread (Control-C) cancels it. Raise RuntimeError in the reactor's own
    thread, which must not block.
    """
    from twisted.python.threadable import isInIOThread

    if isInIOThread():
        raise RuntimeError("can't block in the reactor's own thread; use aprp.open_transfer there")
    running_reactor()
    import crochet

    @crochet.run_in_reactor
    def begin() -> Any:
        from twisted.internet.defer import Deferred

        return Deferred.fromCoroutine(work())

    result: Any = begin()
    try:
        return cast(T, result.wait(None))
    except BaseException:
        result.cancel()
        raise


def _start() -> None:
    global _started_in
    if _forked and not _runs_here():
        _renew()
    import crochet

    if _runs_here():
        with suppress(RuntimeError):  # the program may have set crochet up itself
            crochet.no_setup()
    else:
        crochet.setup()
    _started_in = os.getpid()


def _renew() -> None:
    """Discard the reactor and crochet, and import crochet again."""
    for name in list(sys.modules):
        if name == "twisted.internet.reactor" or name.partition(".")[0] == "crochet":
            del sys.modules[name]
    import twisted.internet

    vars(twisted.internet).pop("reactor", None)
    with _as_crochet_expects():
        import crochet  # noqa: F401


@contextmanager
def _as_crochet_expects() -> Iterator[None]:
    """Give crochet what it looks at when it is imported, which a forked child lacks.

    It knows the main thread by its class, which a thread that forked lacks; and it begins to log,
    which may be done but once, so that here an observer is added instead.
    """
    from twisted.python import log

    kind, begin = vars(threading)["_MainThread"], log.startLoggingWithObserver
    vars(threading)["_MainThread"] = type(threading.main_thread())
    vars(log)["startLoggingWithObserver"] = lambda observer, *_: log.addObserver(observer)
    try:
        yield
    finally:
        vars(threading)["_MainThread"] = kind
        vars(log)["startLoggingWithObserver"] = begin


def _runs_here() -> bool:
    """Return whether a live thread of this process runs the reactor."""
    from twisted.python import threadable

    reactor = sys.modules.get("twisted.internet.reactor")
    if not getattr(reactor, "running", False):
        return False
    return any(thread.ident == threadable.ioThread for thread in threading.enumerate())
