"""Read Metalinks from a directory: that of ``a/film.mkv`` is ``a/film.mkv.meta4`` in it."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.threads import deferToThread

from aprp.core.http.caching.response import Response
from aprp.core.http.fields import Fields
from aprp.core.http.file_answers import file_path
from aprp.core.metalink import MOST_BYTES, MetalinkFile
from aprp.upstream.metalink.errors import NoMetalink
from aprp.upstream.metalink.kept import Kept, KeptMetalinks
from aprp.upstream.metalink.reading import parsed
from aprp.upstream.metalink.signatures import MOST_BYTES as MOST_OF_SIGNATURE
from aprp.upstream.metalink.signatures import SUFFIXES as SIGNATURES
from aprp.upstream.metalink.signatures import UNSIGNED, BadSignature, check_signature, not_signed
from aprp.upstream.wall_clock import time

SUFFIXES = (".meta4", ".metalink", ".torrent")


class MetalinkDirectory:
    """The Metalinks in a directory, each read again when its file changes.

    With keys, one without a good signature beside it is not used at all.
    """

    def __init__(self, folder: Path, keys: Path | None) -> None:
        self._folder = folder
        self._keys = keys
        self._kept = KeptMetalinks()

    async def files(self, path: str) -> tuple[MetalinkFile, ...]:
        """Return the files of the Metalink for a path below the route; raise NoMetalink."""
        name = file_path(b"/" + path.lstrip("/").encode("ascii"))
        if name is None:
            raise NoMetalink("the path names no file", absent=True)
        for suffix in SUFFIXES:
            place = self._folder / (name.decode("utf-8", "surrogateescape") + suffix)
            kept = self._kept.get(str(place))
            stamp = await deferToThread(_stamp, place)
            if stamp is None:
                continue
            if kept is None or kept.response.fields.get(b"etag") != stamp:
                kept = await self._read(place, stamp)
                self._kept.keep(str(place), kept)
            return kept.files
        raise NoMetalink("there is no Metalink of this file", absent=True)

    async def _read(self, place: Path, stamp: bytes) -> Kept:
        try:
            data, signatures = await deferToThread(_contents, place)
        except OSError as error:
            raise NoMetalink(f"{place} can't be read: {error.strerror}") from None
        if self._keys is not None:
            await _check(place, data, signatures, self._keys)
        response = Response(200, Fields(((b"ETag", stamp),)), time(), time())
        return Kept(await parsed(data, str(place)), len(data), response)


async def _check(place: Path, data: bytes, signatures: list[bytes], keys: Path) -> None:
    """Raise NoMetalink unless one of the signatures is of one of the keys."""
    why = UNSIGNED
    for signature in signatures:
        try:
            await check_signature(data, signature, keys)
            return
        except BadSignature as error:
            why = str(error)
    raise NoMetalink(not_signed(str(place), why))


def _stamp(place: Path) -> bytes | None:
    """Return what changes with a file's content, or None if there is no such file."""
    try:
        found = place.stat()
    except OSError:
        return None
    return b'"%d-%d-%d"' % (found.st_mtime_ns, found.st_size, found.st_ino)


def _contents(place: Path) -> tuple[bytes, list[bytes]]:
    """Return a Metalink, and its signatures."""
    with place.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    beside = (place.with_name(place.name + suffix) for suffix in SIGNATURES)
    return data, [each.read_bytes()[:MOST_OF_SIGNATURE] for each in beside if each.exists()]
