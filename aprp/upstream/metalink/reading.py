"""Read one Metalink: the body of a response, and what the document lists."""

from __future__ import annotations

from twisted.internet.threads import deferToThread

from aprp.core.metalink import BadMetalink, MetalinkFile
from aprp.upstream.metalink.errors import NoMetalink
from aprp.upstream.metalink.parsing import parse_listing
from aprp.upstream.transfer.body import discard
from aprp.upstream.transfer.collector import Collector
from aprp.upstream.transfer.requests import SourceAnswer


async def content(answer: SourceAnswer, name: str, most: int) -> bytes:
    """Return the body of a 200, of `most` bytes at most; raise NoMetalink."""
    exchange = answer.exchange
    if answer.status != 200:
        discard(exchange)
        raise NoMetalink(f"{name} answered {answer.status}", answer.status in (404, 410))
    if answer.fields.get(b"content-encoding") not in (None, b"identity"):
        discard(exchange)
        raise NoMetalink(f"{name} is coded, though identity was asked for")
    collector = Collector(most + 1)
    if exchange.length is not None and exchange.length <= most:
        await exchange.pump(collector)
    else:
        await exchange.pump(collector, most + 1)
        exchange.abort()
    data = collector.data
    if len(data) > most:
        raise NoMetalink(f"{name} has more than {most} bytes, the most that are read")
    return data


async def parsed(data: bytes, name: str) -> tuple[MetalinkFile, ...]:
    """Return the files that a document lists, parsed in a thread; raise NoMetalink."""
    try:
        found: tuple[MetalinkFile, ...] = await deferToThread(parse_listing, data, name)
    except BadMetalink as error:
        raise NoMetalink(str(error)) from None
    return found
