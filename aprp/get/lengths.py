"""Find out how long a file is whose pieces have checksums: the sources are asked by HEAD."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aprp.core.metalink import Pieces
from aprp.core.recovery.pieces import Proof
from aprp.core.recovery.versions import Facts
from aprp.get.mirrors import with_duplicates
from aprp.get.options import Options
from aprp.library.open_transfer import shared_by
from aprp.upstream.transfer.failures import TransferFailed
from aprp.upstream.transfer.options import FileLocation
from aprp.upstream.transfer.transfer import Transfer


class AnotherLength(Exception):
    """Raised if the checksums are of a file with another length; the text says of which."""


async def with_length(options: Options, pieces: Pieces, reactor: Any) -> Options:
    """Return the options with the length of the file that has these pieces, and with the mirrors
    that its only source names.

    The first source that answers is believed if the number of pieces fits, else each is asked.
    Raise AnotherLength or TransferFailed.
    """
    locations = options.fetch_request.locations
    facts = await _ask(options, locations, reactor)
    if not pieces.fits(facts.complete):
        facts = await _one_that_fits(options, pieces, facts, reactor)
    if len(options.urls) == 1:
        options = with_duplicates(options, facts) or options
    proof = Proof(facts.complete, pieces)
    return replace(options, fetch_request=replace(options.fetch_request, proof=proof))


async def _one_that_fits(options: Options, pieces: Pieces, first: Facts, reactor: Any) -> Facts:
    locations = options.fetch_request.locations
    for each in locations if len(locations) > 1 else ():
        try:
            facts = await _ask(options, (each,), reactor)
        except TransferFailed:
            continue
        if pieces.fits(facts.complete):
            return facts
    raise AnotherLength(
        f"the file has {first.complete} bytes, {-(-first.complete // pieces.length)} pieces of "
        f"{pieces.length}; --checksum has {len(pieces.digests)}"
    )


async def _ask(options: Options, locations: tuple[FileLocation, ...], reactor: Any) -> Facts:
    shared = shared_by(reactor)
    transfer = Transfer(shared, locations, options.fetch_request.options(shared.agent.names))
    try:
        return await transfer.begin(None)
    finally:
        transfer.abort()
