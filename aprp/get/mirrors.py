"""Use the mirrors that the only source of a file names (RFC 6249)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace

from aprp.core.duplicates import duplicates
from aprp.core.recovery.versions import Facts
from aprp.get.checksum import Checksum
from aprp.get.options import Options
from aprp.upstream.transfer.options import locations

MOST = 8
"""Mirrors that are used, the preferred ones."""


def with_duplicates(options: Options, facts: Facts) -> Options | None:
    """Return the options with the mirrors that the response named, or None if it named none.

    What they send is combined by the rules for sources, and the digest that the response gave, if
    any, is verified at the end. Mirrors are reached as `FetchRequest.listed_by` says.
    """
    request, (first,) = options.fetch_request, options.urls
    mirrors = duplicates(facts.shown.links, first)[:MOST]
    if not mirrors:
        return None
    urls = (first, *(mirror.url for mirror in mirrors))
    checksum = options.checksum
    if checksum is None and options.spec is None:
        checksum = _checksum(facts)
    return replace(
        options,
        urls=urls,
        fetch_request=replace(request, locations=locations(urls), listed_by=first),
        checksum=checksum,
    )


def _checksum(facts: Facts) -> Checksum | None:
    """Return the SHA-512 or SHA-256 digest of the response, if it has a well-formed one."""
    for algorithm in ("sha-512", "sha-256"):
        for name, value in facts.digests:
            if name == algorithm.encode("ascii"):
                try:
                    digest = base64.b64decode(value, validate=True).hex()
                    return Checksum.parse(f"{algorithm}={digest}")
                except (binascii.Error, ValueError):
                    continue
    return None
