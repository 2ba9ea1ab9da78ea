"""``aprp get`` with a Metalink: find it, read it, and turn each of its files into options."""

from __future__ import annotations

import argparse
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from aprp.core.choices import Verify
from aprp.core.http.ranges import FromTo
from aprp.core.http.urls import Url
from aprp.core.metalink import MOST_BYTES, BadMetalink, MetalinkFile, Mirror
from aprp.core.recovery.pieces import Proof
from aprp.core.values import dataclass
from aprp.get.checksum import Checksum
from aprp.get.options import Misunderstood, Options, options_for, request_for
from aprp.get.signed import is_signed, signature_inside
from aprp.library.fetch_request import FetchRequest
from aprp.library.open_transfer import TransferReader
from aprp.upstream.transfer.collector import Collector
from aprp.upstream.transfer.failures import LengthUnknown, TransferFailed
from aprp.upstream.transfer.options import FileLocation

SUFFIXES = (".meta4", ".metalink", ".torrent")
MOST_MIRRORS = 64
"""Mirrors of one file that may be used, the best ones."""
AT_ONCE = 8
"""Mirrors that are used at the same time."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A Metalink: a file, or the request for one at a URL."""

    where: str
    request: FetchRequest | None
    parsed: argparse.Namespace
    urls: tuple[FileLocation, ...] = ()
    """The URLs given beside a torrent."""

    async def files(self, reactor: Any) -> tuple[Options, ...]:
        """Return the options of each of its files.

        Raise BadMetalink, SourceError, or Misunderstood for options that don't fit the files.
        """
        if self.request is None:
            data = self._from_disk()
        else:
            data = await _fetched(self.request, reactor)
        from aprp.upstream.metalink.parsing import parse_listing  # its XML takes a while to load

        keys: Path | None = self.parsed.keys
        if keys is not None and await is_signed(
            data, self.where, keys, lambda suffix: self._beside(suffix, reactor)
        ):
            keys = None  # all that it says is proven
        files = self._with_urls(parse_listing(data, self.where))
        many = len(files) > 1
        parsed = self.parsed
        folder = parsed.output is not None and parsed.output != "-" and Path(parsed.output).is_dir()
        if many and parsed.output is not None and not folder:
            said = f"{self.where} lists {len(files)} files; name a folder with -o or --output-dir"
            raise Misunderstood(said)
        if many and parsed.plot is not None:
            raise Misunderstood(f"--plot is for one file; {self.where} lists {len(files)}")
        if folder:
            parsed = argparse.Namespace(**vars(parsed))
            parsed.output_dir = (parsed.output_dir or Path()) / parsed.output
            parsed.output = None
        return tuple(self._options(parsed, file, keys) for file in files)

    def _with_urls(self, files: tuple[MetalinkFile, ...]) -> tuple[MetalinkFile, ...]:
        """Return the files with the URLs of the command line as their first mirrors."""
        if self.urls and len(files) > 1:
            raise Misunderstood(f"{self.where} lists {len(files)} files; give no URLs with it")
        if not files[0].mirrors and not self.urls:
            raise Misunderstood(f"{self.where} names no web seed; give the URLs of the file, too")
        given = tuple(Mirror(location.url, 1) for location in self.urls)
        return tuple(replace(file, mirrors=given + file.mirrors) for file in files)

    def _from_disk(self) -> bytes:
        try:
            with open(self.where, "rb") as file:
                return file.read(MOST_BYTES + 1)
        except OSError as error:
            raise BadMetalink(f"{self.where} can't be read: {error.strerror}") from None

    async def _beside(self, suffix: str, reactor: Any) -> bytes | None:
        """Return what is at the Metalink's name with a suffix, or None if there is nothing."""
        if self.request is None:
            try:
                return Path(self.where + suffix).read_bytes()
            except FileNotFoundError:
                return None
            except OSError as error:
                raise BadMetalink(
                    f"{self.where + suffix} can't be read: {error.strerror}"
                ) from None
        url = Url.parse(self.where)
        place = str(replace(url, path=url.path + suffix))
        try:
            return await _fetched(request_for(self.parsed, [place], "modified"), reactor)
        except TransferFailed as error:
            if error.missing:
                return None
            raise

    def _options(
        self, parsed: argparse.Namespace, file: MetalinkFile, keys: Path | None
    ) -> Options:
        locations = (parsed.location or "").split(",")
        urls = [str(mirror.url) for mirror in file.ordered(filter(None, locations))]
        proven = file.pieces is not None or file.checksum is not None
        same = parsed.same or ("length" if proven else "modified")
        request = request_for(parsed, urls[:MOST_MIRRORS], same)
        request = replace(request.scheduled(at_once=AT_ONCE), proof=Proof.of(file, Verify.PIECES))
        if self.request is not None:
            request = replace(request, listed_by=Url.parse(self.where))
        if same == "length":
            request = replace(request, complete=file.size)
        checksum = file.checksum
        return replace(
            options_for(parsed, request),
            listed=file,
            pieces=file.pieces,
            signature=None if keys is None else signature_inside(file, self.where, keys),
            checksum=None if checksum is None else Checksum(checksum.algorithm, checksum.digest),
        )


def listing_of(parsed: argparse.Namespace) -> Listing | None:
    """Return the Metalink that the command line names, or None. Raise Misunderstood."""
    listed = [each for each in parsed.urls if _ends_in(each, SUFFIXES)]
    if parsed.metalink is None and not listed:
        return None
    where = parsed.metalink or listed[0]
    others = [each for each in parsed.urls if each != where]
    if others and not _ends_in(where, (".torrent",)):
        raise Misunderstood(f"{where} lists the URLs of its files; give no others with it")
    urls = request_for(parsed, others, "length").locations if others else ()
    if parsed.keys is not None and not os.access(parsed.keys, os.R_OK):
        raise Misunderstood(f"--keys {parsed.keys} can't be read")
    if parsed.keys is not None and shutil.which("gpgv") is None:
        raise Misunderstood("--keys needs the program gpgv, which isn't installed")
    for name in ("range", "checksum"):
        if getattr(parsed, name) is not None:
            raise Misunderstood(f"--{name} can't be used with a Metalink")
    if "://" not in where:
        return Listing(where, None, parsed, urls)
    request = request_for(parsed, [where], "modified")
    return Listing(str(request.locations[0].url), request, parsed, urls)


def _ends_in(text: str, suffixes: tuple[str, ...]) -> bool:
    return text.partition("?")[0].endswith(suffixes)


async def _fetched(request: FetchRequest, reactor: Any) -> bytes:
    """Return the Metalink at a URL, or one byte more than the most that are read of it."""
    reading = TransferReader(request, FromTo(0), reactor)
    data = b""
    try:
        await reading.begin()
        if reading.facts.complete > MOST_BYTES:
            raise BadMetalink(
                f"{request.locations[0].url}: has {reading.facts.complete} bytes; "
                f"at most {MOST_BYTES} are read"
            )
        while more := await reading.read():
            data += more
    except LengthUnknown as unknown:
        collector = Collector(MOST_BYTES + 1)
        await unknown.response.relay(collector, lambda *_: None, MOST_BYTES + 1)
        return collector.data
    finally:
        reading.abort()
    return data
