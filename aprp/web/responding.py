"""Send the response that a plan calls for: its head, and its bytes in order."""

from __future__ import annotations

import secrets
from typing import Protocol

from twisted.internet.interfaces import IConsumer

from aprp.core.http.fields import Fields, Pairs
from aprp.core.http.plans import Conditional, Part, Parts, Plan, Unsatisfiable, Whole
from aprp.core.http.ranges import Range
from aprp.web.failures import Failure
from aprp.web.multipart import Multipart
from aprp.web.request import ProxyRequest

OF_THE_CONTENT = frozenset(
    (b"accept-ranges", b"content-digest", b"content-length", b"content-md5", b"content-range")
)
"""Fields that describe the content of one response, not the representation."""
REPLACED = frozenset((b"accept-ranges", b"content-length", b"content-range"))
_RANGES = (b"Accept-Ranges", b"bytes")


class Supply(Protocol):
    """A supply of a file's bytes."""

    async def send(self, wanted: Range, sink: IConsumer) -> None:
        """Write these bytes into `sink`, in order and at its pace; raise SourceError."""
        ...


async def send(
    request: ProxyRequest, plan: Plan, fields: Fields, supply: Supply, sink: IConsumer
) -> None:
    """Begin the response that the plan calls for and write its body, if it has one.

    `fields` are those of the representation; a HEAD gets the head alone.
    """
    head_only = request.method == b"HEAD"
    if isinstance(plan, Conditional):
        kept = fields.without(OF_THE_CONTENT | {b"content-type"})
        request.begin(plan.status, kept if plan.status == 304 else _empty(kept))
    elif isinstance(plan, Unsatisfiable):
        _refuse_range(request, plan)
    elif isinstance(plan, Parts):
        await _send_parts(request, plan, fields, supply, sink)
    else:
        assert isinstance(plan, Part | Whole)
        request.begin(*head_of(plan, fields))
        if not head_only:
            await supply.send(bytes_of(plan), sink)


def bytes_of(plan: Part | Whole) -> Range:
    """Return the bytes of the file that the response has."""
    return plan.range if isinstance(plan, Part) else Range(0, plan.complete or 0)


def head_of(plan: Part | Whole, fields: Fields) -> tuple[int, Fields]:
    """Return the status and the fields of a response with one range, or with the whole file."""
    status, replaced, added = content_of(plan)
    return status, fields.replacing(replaced, *added)


def content_of(plan: Part | Whole) -> tuple[int, frozenset[bytes], Pairs]:
    """Return the status of a response with one range, or with the whole file; the names of the
    representation's fields that it doesn't have; and those that it has in their place.
    """
    if isinstance(plan, Part):
        start, stop = plan.range
        held = (b"Content-Range", plan.range.content_range(plan.complete))
        return 206, OF_THE_CONTENT, (_RANGES, held, (b"Content-Length", b"%d" % (stop - start)))
    return 200, REPLACED, (_RANGES, (b"Content-Length", b"%d" % (plan.complete or 0)))


def _sliced(fields: Fields) -> Fields:
    return fields.without(OF_THE_CONTENT).adding(_RANGES)


def _empty(fields: Fields) -> Fields:
    return fields.adding((b"Content-Length", b"0"))


def _refuse_range(request: ProxyRequest, plan: Unsatisfiable) -> None:
    text = plan.reason or "the file has no bytes in the range asked for"
    complete = plan.complete
    lines = () if complete is None else ((b"Content-Range", b"bytes */%d" % complete),)
    failure = Failure(416, "http_request_error", text, lines)
    request.begin(416, failure.head().without((b"proxy-status",)))
    request.write(failure.body)


async def _send_parts(
    request: ProxyRequest, plan: Parts, fields: Fields, supply: Supply, sink: IConsumer
) -> None:
    boundary = secrets.token_hex(16).encode()
    frame = Multipart(plan.ranges, plan.complete, fields.get(b"content-type"), boundary)
    lines = (
        (b"Content-Type", frame.content_type),
        (b"Content-Length", b"%d" % frame.length),
    )
    request.begin(206, _sliced(fields).without((b"content-type",)).adding(*lines))
    if request.method == b"HEAD":
        return
    for introduction, each in frame.parts():
        sink.write(introduction)
        await supply.send(each, sink)
    sink.write(frame.end)
