"""Parse and check the sources that a client names itself: ``/proxy?host=URL,URL``.

- The parameter may stand several times, and each value may list several URLs between commas.
- A URL that stands plainly (``http://...``) is taken as it is; one that is percent-encoded is
  decoded once. A comma within a URL is written ``%2C``; an ampersand ``%26``, in either form.
- What can't be read is 400. A host that isn't allowed, or is written so that some would read it as
  another, is 403, and so are users, passwords, other schemes and other services' ports.

Addresses are judged later, when names are resolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from aprp.core.http.addresses import host_allowed, refused_port
from aprp.core.http.urls import Url
from aprp.web.failures import Refusal

MOST_SOURCES = 16

_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*"
_NEXT_PLAIN = re.compile(rf"%2C(?={_SCHEME}://)", re.IGNORECASE)
_NEXT_DECODED = re.compile(rf",(?={_SCHEME}://)")
_UP_TO_PATH = re.compile(rf"{_SCHEME}://[^/?#]*")
_OPAQUE = re.compile(rf"({_SCHEME}):(?![0-9])")


def read_sources(query: bytes, name: str, allow: Sequence[str]) -> tuple[Url, ...]:
    """The URLs that the parameter `name` lists, none twice; raises Refusal.

    `query` begins with its question mark or is empty; `allow` are host globs.
    """
    texts = list(dict.fromkeys(_texts(query.decode("latin-1").removeprefix("?"), name)))
    if not texts:
        raise Refusal(400, f"name the sources as ?{name}=URL,URL")
    if len(texts) > MOST_SOURCES:
        raise Refusal(403, f"{len(texts)} sources are named; the maximum is {MOST_SOURCES}")
    return tuple(dict.fromkeys(_judged(text, allow) for text in texts))


def _texts(query: str, name: str) -> Iterator[str]:
    ambiguous = False
    for parameter in query.split("&"):
        key, equals, value = parameter.partition("=")
        if key == name and equals:
            if not value:
                continue
            ambiguous = ambiguous or ("://" in value and "?" in value)
            for listed in value.split(","):
                yield from _split(listed)
        elif ambiguous and parameter:
            raise Refusal(
                400,
                f"{_shown(parameter)} may belong to the URL before it or not; "
                "write an ampersand within a URL as %26",
            )


def _split(listed: str) -> list[str]:
    if "://" in listed:
        return _NEXT_PLAIN.split(listed)
    return _NEXT_DECODED.split(unquote(listed, errors="surrogateescape"))


def _judged(text: str, allow: Sequence[str]) -> Url:
    url = _parsed(text)
    if not host_allowed(url.host, allow):
        raise Refusal(403, f"the host {url.host} isn't allowed here", "destination_ip_prohibited")
    if (reason := refused_port(url.port)) is not None:
        raise Refusal(403, f"{url.host}: {reason}", "destination_ip_prohibited")
    return url


def _parsed(text: str) -> Url:
    """400 where the text or what follows the host can't be read, 403 where it leads astray."""
    try:
        return Url.parse(text)
    except ValueError as error:
        sentence = f"the URL {_shown(text)} {error}"
    leading = _UP_TO_PATH.match(text)
    if leading is None:
        if (opaque := _OPAQUE.match(text)) is not None and opaque[1].lower() not in _SPOKEN:
            raise Refusal(403, sentence)
        raise Refusal(400, sentence)
    try:
        Url.parse(leading[0])
    except ValueError:
        raise Refusal(403, sentence) from None
    raise Refusal(400, sentence)


_SPOKEN = ("http", "https")


def _shown(text: str) -> str:
    cut = text if len(text) <= 60 else text[:60] + "..."
    return ascii(cut).replace("'", '"') if not cut.isprintable() or not cut.isascii() else cut
