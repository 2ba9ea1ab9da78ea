"""Which response may continue a broken body.

The rule, for one upstream and for many sources alike: only the missing suffix is requested, and
only of the same version; at once, then after growing pauses (`aprp.core.recovery.pauses`), until
nothing has arrived for `resume_for` seconds.
"""

from __future__ import annotations

from aprp.core.http.answer_plan import ResponseSummary, held_range
from aprp.core.http.ranges import FromTo, Range
from aprp.core.http.validators import Validators
from aprp.core.recovery.statuses import is_passing
from aprp.core.recovery.versions import change
from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class FileVersion:
    """The version of a file that the bytes sent so far are of."""

    validators: Validators
    complete: int

    @property
    def resumable(self) -> bool:
        """Whether a later response can prove that it is of this version."""
        return self.validators.strong() is not None


class Changed(Exception):
    """The file is no longer the version that was begun."""


def continuation(version: FileVersion, missing: Range, answer: ResponseSummary) -> Range | None:
    """Return which bytes a response to `Range: missing` with If-Range holds.

    None means to try again later. A whole response holds the file from its start. Raises `Changed`
    where no later try can help.
    """
    if is_passing(answer.status):
        return None
    if answer.status not in (200, 206):
        raise Changed(f"it answered {answer.status}")
    if (changed := change(version.validators, answer.validators)) is not None:
        raise Changed(f"it {changed}")
    if answer.status == 200:
        if answer.length != version.complete:
            raise Changed("it has another length")
        return Range(0, version.complete)
    held, said = held_range(FromTo(missing.start, missing.stop), answer), answer.content_range
    if not isinstance(held, Range) or said is None or said.complete != version.complete:
        raise Changed("it answered with another range")
    return held
