"""Which bytes a client asks for: its Range and If-Range, and a range in its path."""

from __future__ import annotations

from typing import NamedTuple

from aprp.config import PathRanges
from aprp.core.http.answer_plan import RequestedRange
from aprp.core.http.fields import Fields
from aprp.core.http.ranges import NOTHING, Spec, parse_range
from aprp.core.http.targets import PathMeaning, split_path_range
from aprp.core.http.validators import IfRange


class RangeRequest(NamedTuple):
    """The range that a client requests of the file at `path`, from which a range in it was
    removed.

    `if_range` is the field to hand on with a range; `text` is the range as the client wrote it.
    """

    path: bytes
    asked: RequestedRange
    if_range: bytes | None
    text: bytes | None


def read_range_request(
    fields: Fields,
    head: bool,
    path: bytes,
    meaning: PathRanges,
    max_ranges: int,
    one_file: bool = False,
) -> RangeRequest:
    """Read a GET or HEAD; `path` is relative to its route, which may be that of `one_file`."""
    in_path, text = None, None
    if meaning is not PathRanges.OFF:
        second: PathMeaning = "end" if meaning == PathRanges.END else "length"
        split = split_path_range(path, second, nameless=one_file)
        if split is not None:
            text, path = path[len(split.name) + 1 :], split.name
            in_path = split.spec or NOTHING
    header = None if head and in_path is None else _specs(fields, max_ranges)
    if_range = fields.by_name.get(b"if-range") if header is not None else None
    condition = None if if_range is None else IfRange.parse(if_range)
    if condition is not None and condition.hopeless:
        header, if_range, condition = None, None, None
    asked = RequestedRange(fields, head, header, condition, in_path)
    return RangeRequest(path, asked, if_range, text or (fields.get(b"range") if header else None))


def _specs(fields: Fields, max_ranges: int) -> tuple[Spec, ...] | None:
    """The ranges of a Range field that is to be obeyed."""
    value = fields.only(b"range")
    specs = None if value is None else parse_range(value)
    return None if specs is None or len(specs) > max_ranges else specs
