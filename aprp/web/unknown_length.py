"""Relay a file whose length no source declares, from one response.

A single range with both ends is sliced from it, if it is short enough to be held until its last
byte has arrived: a 206 must not promise bytes that don't exist. Any other range in the Range field
is ignored, as RFC 9110 section 14.2 allows; one in the path is an error, since a 200 would be
wrong.
"""

from __future__ import annotations

from twisted.internet.interfaces import IConsumer

from aprp.core.http.answer_plan import RequestedRange, ResponseSummary, decide
from aprp.core.http.fields import Fields
from aprp.core.http.plans import Conditional, Part, Plan, Unsatisfiable
from aprp.core.http.ranges import FromTo, Range
from aprp.core.http.validators import Validators
from aprp.upstream.transfer.collector import Collector
from aprp.upstream.transfer.one_response import Arrived, OneResponse
from aprp.web.request import ProxyRequest
from aprp.web.responding import send

LONGEST = 1 << 20
"""The maximum length of a sliced range."""


class CannotCut(Exception):
    """Raised when a range in the path can't be served from a file of unknown length."""


class _Held:
    """The bytes that were cut out, as the supply of a response."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def send(self, wanted: Range, sink: IConsumer) -> None:
        sink.write(self._data)


async def relay(
    request: ProxyRequest,
    asked: RequestedRange,
    fields: Fields,
    current: Validators,
    response: OneResponse,
    arrived: Arrived,
    sink: IConsumer,
) -> None:
    """Answer from the response; `fields` describe the file, `current` validates it.

    Raises CannotCut, or SourceError where the response breaks.
    """
    plan = decide(asked, None, ResponseSummary(200, None, current))
    if isinstance(plan, Conditional | Unsatisfiable):
        await send(request, plan, fields, _Held(b""), sink)
        return
    spec = _range_to_cut(asked, current)
    if spec is not None and spec.stop is not None:
        plan, data = await _cut(response, spec.start, spec.stop, arrived)
        await send(request, plan, fields, _Held(data), sink)
        return
    if asked.path is not None:
        raise CannotCut
    request.begin(200, fields)
    if not asked.head:
        await response.relay(sink, arrived)


def _range_to_cut(asked: RequestedRange, current: Validators) -> FromTo | None:
    specs = asked.header
    if asked.if_range is not None and not asked.if_range.matches(current):
        specs = None
    if asked.path is not None:
        if specs not in (None, (asked.path,)):
            return None
        specs = (asked.path,)
    if specs is None or len(specs) != 1:
        return None
    (spec,) = specs
    if not isinstance(spec, FromTo) or spec.stop is None or spec.stop - spec.start > LONGEST:
        return None
    return spec


async def _cut(
    response: OneResponse, start: int, stop: int, arrived: Arrived
) -> tuple[Plan, bytes]:
    """Read up to `stop`, or to the end of the file, which reveals its length."""
    skipped = await response.relay(Collector(), arrived, start) if start else 0
    held = Collector(stop - start)
    count = await response.relay(held, arrived, stop - start) if skipped == start else 0
    if count == stop - start:
        return Part(Range(start, stop), None), held.data
    if not count:
        return Unsatisfiable(skipped), b""
    return Part(Range(start, start + count), start + count), held.data
