"""When a broken body is asked for again, and what the answer has to be.

The rule, for one upstream and for many sources alike: the missing suffix only, of the same version
only; at once, then after growing pauses, until nothing has come for `resume_for` seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from aprp.core.http.answer_plan import ResponseSummary, held_range
from aprp.core.http.ranges import FromTo, Range
from aprp.core.http.validators import Validators

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Statuses that may be another at the next try."""


@dataclass(frozen=True, slots=True)
class FileVersion:
    """Which version of a file the bytes sent so far are of."""

    validators: Validators
    complete: int

    @property
    def resumable(self) -> bool:
        """Whether a later answer can be known to be of this version."""
        return self.validators.strong() is not None

    def is_that_of(self, answer: ResponseSummary, complete: int | None) -> bool:
        """Whether an answer to If-Range is of this version, its complete length being that.

        It has to repeat the entity tag; a 206 need not repeat Last-Modified, for the upstream
        has compared it (RFC 9110 section 15.3.7).
        """
        if complete != self.complete:
            return False
        if self.validators.etag is not None:
            return self.validators.etag.same_strongly(answer.validators.etag)
        modified = answer.validators.last_modified
        if modified is None:
            return answer.status == 206
        return modified == self.validators.last_modified


class Changed(Exception):
    """The file is no longer the version that was begun."""


def continuation(version: FileVersion, missing: Range, answer: ResponseSummary) -> Range | None:
    """Which bytes an answer to `Range: missing` with If-Range holds, None to try again later.

    A whole answer holds the file from its start. Raises `Changed` where no later try can help.
    """
    if answer.status == 206:
        held = held_range(FromTo(missing.start, missing.stop), answer)
        said = answer.content_range
        if (
            isinstance(held, Range)
            and said is not None
            and version.is_that_of(answer, said.complete)
        ):
            return held
        raise Changed("it answered with another version or another range")
    if answer.status == 200:
        if not version.is_that_of(answer, answer.length):
            raise Changed("the file has changed")
        return Range(0, version.complete)
    if answer.status in PASSING:
        return None
    raise Changed(f"it answered {answer.status}")


class Pauses:
    """How long to wait before the next try: nothing at first, then twice as long each time."""

    def __init__(self, resume_for: float) -> None:
        self._resume_for = resume_for
        self._since: float | None = None
        self._pause = 0.0

    def progressed(self) -> None:
        """Bytes came: the next break is a first one."""
        self._since = None
        self._pause = 0.0

    def broke(self, now: float) -> float | None:
        """Seconds to wait now, None to give up."""
        if self._since is None:
            self._since = now
        left = self._since + self._resume_for - now
        if left <= 0:
            return None
        pause = min(self._pause, left)
        self._pause = min(max(FIRST_PAUSE, 2 * self._pause), LONGEST_PAUSE)
        return pause
