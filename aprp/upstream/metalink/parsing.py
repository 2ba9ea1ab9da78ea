"""Parse Metalinks. They come from strangers: no entities, no DTD, bounded everywhere.

Version 4 (RFC 5854, usually named .meta4) and version 3 (metalinker.org, .metalink) are read; the
elements of version 3 are put where version 4 has them. Unknown elements and algorithms are skipped,
as are mirrors that aren't http or https. Whatever is wrong otherwise is a `BadMetalink` that names
the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any, NoReturn
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler, feature_namespaces

from defusedxml import DefusedXmlException
from defusedxml.sax import make_parser

from aprp.core.http.urls import Url
from aprp.core.metalink import (
    DIGITS,
    LAST,
    LONGEST_PIECE,
    MOST_BYTES,
    BadMetalink,
    Hash,
    MetalinkFile,
    Mirror,
    Pieces,
    check_name,
    strongest,
)
from aprp.core.torrents import parse_torrent

_MOST_DEPTH = 16
_MOST_ELEMENTS = 400_000
_MOST_FILES = 1000
_NAMESPACE = "urn:ietf:params:xml:ns:metalink"
_OLDER = "http://www.metalinker.org/"
_DIGITS = re.compile("[0-9]{1,18}")
_HEX = re.compile("[0-9A-Fa-f]+")
_SCHEME = re.compile("https?:", re.IGNORECASE)


class _Element:
    """One element of the namespace, with the line on which it begins."""

    def __init__(self, name: str, attributes: dict[str, str], line: int) -> None:
        self.name = name
        self.attributes = attributes
        self.line = line
        self.children: list[_Element] = []
        self.pieces: list[str] = []

    @property
    def text(self) -> str:
        """The text directly inside, without white space around it."""
        return "".join(self.pieces).strip()

    def all(self, name: str) -> list[_Element]:
        """Return the children of that name."""
        return [each for each in self.children if each.name == name]


class _Builder(ContentHandler):
    """Builds the tree of elements of the namespace; others are skipped with all they hold."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.root: _Element | None = None
        self.space = _NAMESPACE
        self._source = source
        self._open: list[_Element | None] = []
        self._count = 0
        self._locator: Any = None

    def setDocumentLocator(self, locator: Any) -> None:
        self._locator = locator

    def startElementNS(self, name: Any, qname: Any, attrs: Any) -> None:
        space, local = name
        line = self._locator.getLineNumber()
        self._count += 1
        if len(self._open) >= _MOST_DEPTH:
            _refuse(self._source, line, f"has elements nested deeper than {_MOST_DEPTH}")
        if self._count > _MOST_ELEMENTS:
            _refuse(self._source, line, f"has more than {_MOST_ELEMENTS} elements")
        if not self._open:
            if space not in (_NAMESPACE, _OLDER) or local != "metalink":
                _refuse(self._source, line, _not_ours(local))
            self.space = space
        parent = self._open[-1] if self._open else None
        if space != self.space or (self._open and parent is None):
            self._open.append(None)
            return
        given = {key[1]: attrs[key] for key in attrs.keys() if key[0] is None}  # noqa: SIM118
        element = _Element(local, given, line)
        if parent is None:
            self.root = element
        else:
            parent.children.append(element)
        self._open.append(element)

    def endElementNS(self, name: Any, qname: Any) -> None:
        self._open.pop()

    def characters(self, content: str) -> None:
        element = self._open[-1] if self._open else None
        if element is not None:
            element.pieces.append(content)


def parse_listing(data: bytes, source: str) -> tuple[MetalinkFile, ...]:
    """Return the files of a Metalink or a torrent; the mirrors of a torrent are its web seeds."""
    if len(data) <= MOST_BYTES and data[:1] == b"d":
        try:
            return parse_torrent(data)
        except ValueError as error:
            raise BadMetalink(f"{source}: {error}") from None
    return parse(data, source)


def parse(data: bytes, source: str) -> tuple[MetalinkFile, ...]:
    """Return the files of a Metalink, one at least. `source` is what messages call it.

    Raise BadMetalink.
    """
    if len(data) > MOST_BYTES:
        raise BadMetalink(f"{source}: has more than {MOST_BYTES} bytes, the most that are read")
    root, older = _tree(data, source)
    elements = _older_files(root) if older else root.all("file")
    if not elements:
        _refuse(source, root.line, "lists no file")
    if len(elements) > _MOST_FILES:
        _refuse(source, root.line, f"lists more than {_MOST_FILES} files")
    files = tuple(_file(each, source) for each in elements)
    names: set[str] = set()
    for element, file in zip(elements, files, strict=True):
        if file.name in names:
            _refuse(source, element.line, f"lists the file {file.name!a} a second time")
        names.add(file.name)
    return files


def _tree(data: bytes, source: str) -> tuple[_Element, bool]:
    """Return the root, and whether it is of version 3."""
    builder = _Builder(source)
    parser: Any = make_parser()
    parser.forbid_dtd = True
    parser.setFeature(feature_namespaces, True)
    parser.setContentHandler(builder)
    try:
        parser.parse(BytesIO(data))
    except DefusedXmlException:
        raise BadMetalink(
            f"{source}: has a document type or entities, which aren't read; remove the <!DOCTYPE>"
        ) from None
    except SAXParseException as error:
        _refuse(source, error.getLineNumber(), f"isn't well-formed XML: {error.getMessage()}")
    except (SAXException, UnicodeError, LookupError, ValueError) as error:
        raise BadMetalink(f"{source}: isn't well-formed XML: {error}") from None
    assert builder.root is not None, "a well-formed document has an element"
    return builder.root, builder.space == _OLDER


def _older_files(root: _Element) -> list[_Element]:
    """Return the files of a Metalink of version 3, as version 4 would have them."""
    files = [file for each in root.all("files") for file in each.all("file")]
    for file in files:
        within = ("verification", "resources")
        file.children += [
            child for name in within for each in file.all(name) for child in each.children
        ]
        for url in file.all("url"):
            preference = url.attributes.get("preference", "")
            if _DIGITS.fullmatch(preference):
                url.attributes["priority"] = str(max(1, 101 - int(preference)))
    return files


def _file(element: _Element, source: str) -> MetalinkFile:
    name = element.attributes.get("name", "")
    try:
        check_name(name)
    except ValueError as error:
        _refuse(source, element.line, f"the file's name {name!a} {error}")
    size = None
    for each in element.all("size"):
        if size is not None:
            _refuse(source, each.line, "gives the size of a file a second time")
        size = _number(each.text, 0, "size", source, each.line)
    pieces = _pieces(element, size, source)
    mirrors = tuple(_mirrors(element, source))
    if not mirrors:
        _refuse(source, element.line, f"lists no http or https mirror of {name!a}")
    hashes = tuple(_hashes(element, source))
    return MetalinkFile(name, mirrors, size, hashes, pieces, _signature(element))


def _signature(element: _Element) -> str | None:
    """Return the first OpenPGP signature of the file; version 3 calls the kind pgp."""
    for each in element.all("signature"):
        kind = each.attributes.get("mediatype") or each.attributes.get("type", "")
        if kind.lower() in ("application/pgp-signature", "pgp"):
            return each.text
    return None


def _mirrors(element: _Element, source: str) -> Iterator[Mirror]:
    for each in element.all("url"):
        text, priority = each.text, LAST
        kind = each.attributes.get("type", "http").lower()
        if not _SCHEME.match(text) or kind not in ("http", "https"):
            continue
        try:
            url = Url.parse(text)
        except ValueError as error:
            _refuse(source, each.line, f"the mirror {text[:80]!a} {error}")
        given = each.attributes.get("priority")
        if given is not None:
            priority = _number(given, 1, "priority", source, each.line)
        yield Mirror(url, priority, each.attributes.get("location", "").lower() or None)


def _hashes(element: _Element, source: str) -> Iterator[Hash]:
    for each in element.all("hash"):
        name = _algorithm(each)
        if name in DIGITS:
            yield Hash(name, _digest(each, name, source))


def _algorithm(element: _Element) -> str:
    """Return the hash function that the element names; version 3 writes sha1 and sha256."""
    return re.sub(r"^sha(?=\d)", "sha-", element.attributes.get("type", "").lower())


def _pieces(element: _Element, size: int | None, source: str) -> Pieces | None:
    """Return the pieces with the strongest hashes, or None if there are none."""
    known: dict[str, _Element] = {}
    for each in element.all("pieces"):
        name = _algorithm(each)
        if name in DIGITS:
            known.setdefault(name, each)
    best = strongest([Hash(name, "") for name in known])
    if best is None:
        return None
    found = known[best.algorithm]
    length = _number(found.attributes.get("length", ""), 1, "length of pieces", source, found.line)
    if length > LONGEST_PIECE:
        _refuse(source, found.line, f"has pieces of {length} bytes; at most {LONGEST_PIECE} work")
    in_order = sorted(found.all("hash"), key=_position)
    digests = tuple(_digest(each, best.algorithm, source) for each in in_order)
    pieces = Pieces(best.algorithm, length, digests)
    if size is None:
        _refuse(source, found.line, "has pieces, but no <size> to verify the last one by")
    if not pieces.fits(size):
        expected = -(-size // length)
        said = f"has {len(digests)} pieces of {length} bytes, but {size} bytes have {expected}"
        _refuse(source, found.line, said)
    return pieces


def _position(element: _Element) -> int:
    """Return the number of a piece's hash, which only version 3 gives."""
    given = element.attributes.get("piece", "")
    return int(given) if _DIGITS.fullmatch(given) else 0


def _digest(element: _Element, name: str, source: str) -> str:
    text = element.text
    if not _HEX.fullmatch(text) or len(text) != DIGITS[name]:
        said = f"{text[:40]!a} isn't a {name} hash, which has {DIGITS[name]} hexadecimal digits"
        _refuse(source, element.line, said)
    return text.lower()


def _number(text: str, least: int, what: str, source: str, line: int) -> int:
    if not _DIGITS.fullmatch(text) or int(text) < least:
        _refuse(source, line, f"the {what} {text[:40]!a} isn't a whole number from {least}")
    return int(text)


def _not_ours(name: str) -> str:
    return f"isn't a Metalink: its root is {name!a}, not metalink in the namespace {_NAMESPACE}"


def _refuse(source: str, line: int | None, text: str) -> NoReturn:
    raise BadMetalink(f"{source}:{line}: {text}")
