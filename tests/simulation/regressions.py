"""Faults that were fixed, each with a way to take its fix out: the simulation has to find them.

``python -m tests.simulation --without NAME`` runs seeds without the fix. An entry records a seed
that finds the fault soon, and how its failure begins. A new one is added with its fix.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from aprp.core.http import redirects
from aprp.core.http.validators import ETag, Validators
from aprp.core.recovery import client_validators, parking, statuses, versions
from aprp.core.scheduling import scheduler, state
from aprp.library.open_transfer import TransferReader
from aprp.upstream.http import names
from aprp.web import loops, sockets
from aprp.web.closing import ClosingChannel

Patches = Iterator[AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Regression:
    """A fault whose fix can be taken out.

    `seed` finds it; the failure begins with `finds`.
    """

    what: str
    seed: int
    finds: str
    patches: Callable[[], Patches]

    @contextlib.contextmanager
    def without(self) -> Iterator[None]:
        """Take the fix out for as long as this holds."""
        with contextlib.ExitStack() as stack:
            for patch in self.patches():
                stack.enter_context(patch)
            yield


def _for(function: Callable[..., Any], other: Callable[..., Any]) -> Patches:
    """Put `other` in the place of a function of aprp, under each name that it was imported by."""
    for module in [each for name, each in sys.modules.items() if name.startswith("aprp.")]:
        for name in [name for name, value in vars(module).items() if value is function]:
            yield mock.patch.object(module, name, other)


# Two versions in one body


def _split_without_a_validator() -> Patches:
    def differ(found: Validators, known: Validators) -> str | None:
        given = found.last_modified is not None and known.last_modified is not None
        return "differs" if given and found.last_modified != known.last_modified else None

    yield from _for(versions.combinable, lambda first, same: True)
    yield from _for(versions._validators_differ, differ)


def _tag_by_length() -> Patches:
    def made(path: bytes, facts: versions.Facts, same: object) -> ETag:
        return client_validators._hashed([path, b"%d" % facts.complete], weak=False)

    yield from _for(client_validators._made, made)


def _unproven_continuation() -> Patches:
    yield from _for(versions.change, lambda *_: None)


def _redirect_for_good() -> Patches:
    yield from _for(redirects.remembered_for, lambda status, fields: redirects.FOREVER)


def _cut_by_fin() -> Patches:
    yield from _for(sockets.reset_on_close, lambda transport, on: None)
    yield mock.patch.object(ClosingChannel, "reset_now", lambda channel: None)


def _ends_once_failed() -> Patches:
    read = TransferReader.read

    async def nothing_more(reader: TransferReader) -> bytes:
        return b"" if reader.failure is not None else await read(reader)

    yield mock.patch.object(TransferReader, "read", nothing_more)


# One client harms others


def _lookup_without_deadline() -> Patches:
    yield from _for(names._in_time, lambda clock, host, seconds, waiter: waiter)


def _mirror_parked() -> Patches:
    yield mock.patch.object(parking, "SEVERAL", 1)
    yield mock.patch.object(statuses, "LONGEST_WAIT", 86400.0)


def _two_bounds() -> Patches:
    for module in (state, scheduler):
        yield mock.patch.object(module, "ENDLESS", 1 << 62)


def _endless_loop() -> Patches:
    yield from _for(loops.refuse_loop, lambda request: None)


REGRESSIONS: dict[str, Regression] = {
    "combined-without-validator": Regression(
        "blocks of a file without a strong validator are combined",
        35,
        "the bytes are of no version",
        _split_without_a_validator,
    ),
    "tag-by-length": Regression(
        "a strong entity tag is made of path and length",
        6,
        "If-Range joins version",
        _tag_by_length,
    ),
    "unproven-continuation": Regression(
        "a response that doesn't show the validator continues a body",
        10,
        "the bytes are of no version",
        _unproven_continuation,
    ),
    "redirect-for-good": Regression(
        "every redirect outlives its transfer",
        13,
        "the bytes are of no version",
        _redirect_for_good,
    ),
    "cut-by-fin": Regression(
        "the end of the process ends a body of unknown length by FIN",
        1,
        "the bytes are of no version: version 0: it ends as if whole",
        _cut_by_fin,
    ),
    "ends-once-failed": Regression(
        "a transfer that failed ends cleanly when it is read again",
        37,
        "a transfer that failed ends cleanly",
        _ends_once_failed,
    ),
    "lookup-without-deadline": Regression(
        "a name lookup may take for ever",
        127,
        "the client waits for ever",
        _lookup_without_deadline,
    ),
    "mirror-parked": Regression(
        "Retry-After of one file parks the mirror for up to a day",
        57,
        "the client waits for ever",
        _mirror_parked,
    ),
    "two-bounds": Regression(
        "positions that a Range may name lie past the scheduler's end of all files",
        132,
        "in the log: ValueError",
        _two_bounds,
    ),
    "endless-loop": Regression(
        "a request that came back is passed on again", 54, "a loop is answered", _endless_loop
    ),
}
