"""What a response names by Link fields (RFC 6249, RFC 8288): mirrors, and a Metalink."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urljoin

from aprp.core.http.ranges import number
from aprp.core.http.urls import Url
from aprp.core.metalink import LAST, Mirror

_LONGEST = 8192
"""Bytes of a field's value that are read."""
_METALINKS = (b"application/metalink4+xml", b"application/metalink+xml")
_LINK = re.compile(rb'<([^<>]*)>((?:"(?:[^"\\]|\\.)*"|[^",<>])*)')
_PARAMETER = re.compile(rb';[ \t]*([^\s=;"]+)[ \t]*(?:=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*)))?')


def duplicates(links: Iterable[bytes], at: Url) -> tuple[Mirror, ...]:
    """Return the mirrors that Link fields of a response from `at` name, the preferred ones first.

    What isn't an http or https URL is skipped, as are `at` itself, and http where `at` is https.
    """
    found: dict[Url, Mirror] = {}
    for target, parameters in _links(links):
        if b"duplicate" not in parameters.get(b"rel", b"").lower().split():
            continue
        try:
            url = Url.parse(urljoin(str(at), target.decode("ascii")))
        except ValueError:
            continue
        if url != at and (url.scheme == "https" or at.scheme == "http"):
            priority = number(parameters.get(b"pri", b"")) or LAST
            location = parameters.get(b"geo", b"").decode("latin-1").lower() or None
            found.setdefault(url, Mirror(url, priority, location))
    return tuple(sorted(found.values(), key=lambda each: each.priority))


def described_by(links: Iterable[bytes], at: Url) -> Url | None:
    """Return the URL of the Metalink that Link fields of a response from `at` name, or None."""
    for target, parameters in _links(links):
        if b"describedby" not in parameters.get(b"rel", b"").lower().split():
            continue
        if parameters.get(b"type", b"").lower() not in _METALINKS:
            continue
        try:
            url = Url.parse(urljoin(str(at), target.decode("ascii")))
        except ValueError:
            continue
        if url.scheme == "https" or at.scheme == "http":
            return url
    return None


def _links(values: Iterable[bytes]) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
    """Yield the target and the parameters of each link; of a repeated parameter, the first."""
    for value in values:
        for link in _LINK.finditer(value[:_LONGEST]):
            parameters: dict[bytes, bytes] = {}
            for each in _PARAMETER.finditer(link[2]):
                parameters.setdefault(each[1].lower(), each[2] or each[3] or b"")
            yield link[1].strip(), parameters
