"""Why something failed, as a value that travels from where it is known to where it is told.

The operator is told everything; a client is told what happened without names and addresses. So a
sentence keeps its names apart from its words, and nobody has to find them again in a text.
"""

from __future__ import annotations

from dataclasses import replace

from aprp.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """A host, an address or a URL within a sentence; clients read `instead`."""

    text: str
    instead: str = ""


Words = tuple[str | Name, ...]
"""A sentence without its subject. It begins with a verb, or with a colon where it is a clause."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What went wrong: an error type of RFC 9209 section 2.3, and a sentence about the source.

    `status` is what the source answered, if that is what was wrong with it.
    """

    kind: str
    words: Words
    status: int | None = None
    source: str = ""

    def __str__(self) -> str:
        """Return the sentence for the operator, with all names."""
        return _after(self.source, "".join(_named(word) for word in self.words))

    def told(self, subject: str) -> str:
        """Return the sentence for a client, about `subject` and without names."""
        return _after(subject, "".join(_nameless(word) for word in self.words))

    def of(self, source: str) -> Reason:
        """Return the same reason, of a source by that name if none is named yet."""
        return self if self.source else replace(self, source=source)


def reason(*words: str | Name, kind: str = "destination_unavailable") -> Reason:
    """Return a reason with these words."""
    return Reason(kind, words)


def _after(subject: str, sentence: str) -> str:
    if not subject:
        return sentence.removeprefix(":").lstrip()
    return subject + sentence if sentence.startswith(":") else f"{subject} {sentence}"


def _named(word: str | Name) -> str:
    return word if isinstance(word, str) else word.text


def _nameless(word: str | Name) -> str:
    return word if isinstance(word, str) else word.instead
