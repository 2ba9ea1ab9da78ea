"""The command line of ``aprp get``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from aprp.config.fields import FieldName, FieldValue, refuse_coding
from aprp.config.scalars import Size
from aprp.core.choices import Redirects, Same
from aprp.core.http.ranges import Spec, Suffix, parse_range
from aprp.core.http.urls import Url
from aprp.core.metalink import MetalinkFile, Pieces
from aprp.core.scheduling.messages import MIB
from aprp.core.scheduling.read_ahead import SMALLEST_WINDOW
from aprp.core.scheduling.settings import SchedulingSettings
from aprp.core.values import dataclass
from aprp.get.checksum import ALGORITHMS, Checksum, parse_pieces
from aprp.get.signed import FileSignature
from aprp.library.fetch_request import FetchRequest, urls_of
from aprp.upstream.transfer.options import TransferOptions, locations

WINDOW = 32 * MIB
"""Bytes read ahead at most; with --limit-rate, at most one second's worth."""

EXIT_CODES = """\
exit status:
  0    the file is complete and has the requested checksum, and those of its Metalink
  1    no source could send the rest; -c can resume
  2    the command line is invalid
  3    the destination can't be written
  4    the checksum differs, or the signature isn't good; the download was deleted
  5    -c can't resume: the partial download isn't of the sources' current file
  130  interrupted (Control-C), 143 terminated; -c can resume
  141  the reader of standard output closed it
"""


class Misunderstood(Exception):
    """Raised for an invalid argument; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Options:
    """A parsed command line. `spec` None is the whole file; `limit_rate` is bytes per second."""

    urls: tuple[Url, ...]
    fetch_request: FetchRequest
    output: str | None
    output_dir: Path | None
    go_on: bool
    spec: Spec | None
    limit_rate: int | None
    checksum: Checksum | None
    plot: Path | None
    json: bool
    quiet: bool
    listed: MetalinkFile | None = None
    """What a Metalink says of the file."""
    pieces: Pieces | None = None
    """What its pieces are verified by; `fetch_request.proof` has it once the length is known."""
    signature: FileSignature | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``aprp get`` to a parser."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXIT_CODES
    add = parser.add_argument
    add("urls", nargs="*", metavar="URL", help="a URL of the file; all URLs have the same file")
    add(
        "--metalink",
        metavar="FILE|URL",
        help="download what a Metalink or a torrent lists; a FILE or URL that ends in .meta4, "
        ".metalink or .torrent needs no option",
    )
    add(
        "--location",
        metavar="CODES",
        help="use the Metalink's mirrors in these countries first, such as de,at",
    )
    add(
        "--keys",
        type=Path,
        metavar="FILE",
        help="a file of OpenPGP keys, one of which must have signed the Metalink or its files",
    )
    add("-o", "--output", metavar="FILE", help="the file to write; - is standard output")
    add("--output-dir", type=Path, metavar="DIR", help="the folder to write the file to")
    add("-c", "--continue", dest="go_on", action="store_true", help="resume a partial download")
    add(
        "--range",
        metavar="FIRST-LAST",
        help="only these bytes, such as 0-499, 500- or -500",
    )
    add("--limit-rate", metavar="SIZE", help="maximum bytes per second, such as 500KiB")
    add(
        "--header", action="append", default=[], metavar="'NAME: VALUE'", help="add a request field"
    )
    algorithms = ", ".join(ALGORITHMS)
    add(
        "--checksum",
        action="append",
        metavar="ALGORITHM[/LENGTH]=HEX|@FILE",
        help=f"verify the checksum: {algorithms}; with a LENGTH, as in sha-256/1MiB=@FILE, each "
        "piece by the checksums in FILE, one a line",
    )
    add(
        "--same",
        choices=("modified", "length"),
        help="recognise one file by length and Last-Modified (the default), or by length (the "
        "default where a Metalink has hashes)",
    )
    add("--ca", metavar="FILE", help="a PEM file of CA certificates to trust")
    add("--json", action="store_true", help="print a summary as JSON to standard output")
    add(
        "--plot", type=Path, metavar="FILE.svg", help="plot offset over time, one colour per source"
    )
    add("-q", "--quiet", action="store_true", help="show no progress")


def read(parsed: argparse.Namespace) -> Options:
    """Turn parsed arguments into options. Raise Misunderstood if they are invalid."""
    if not parsed.urls:
        raise Misunderstood("give the URLs of the file, or a Metalink")
    if parsed.location is not None:
        raise Misunderstood("--location is for the mirrors of a Metalink")
    if parsed.keys is not None:
        raise Misunderstood("--keys is for the signatures of Metalinks")
    pieces = _checksums(parsed)[1]
    same = parsed.same or ("modified" if pieces is None else "length")
    return options_for(parsed, request_for(parsed, parsed.urls, same))


def request_for(parsed: argparse.Namespace, urls: Iterable[str], same: str) -> FetchRequest:
    """Return the request for a file at these URLs. Raise Misunderstood."""
    fields = dict(header(text) for text in parsed.header)
    limit_rate = _limit(parsed)
    window = WINDOW if limit_rate is None else min(max(limit_rate, SMALLEST_WINDOW), WINDOW)
    rules = TransferOptions(
        scheduling=SchedulingSettings(window, min(window, MIB)),
        same=Same(same),
        redirects=Redirects.PUBLIC,
        headers=tuple((name.encode("ascii"), fields[name].encode("ascii")) for name in fields),
    )
    ca = None if parsed.ca is None else _authorities(parsed.ca)
    try:
        return FetchRequest(locations(urls_of(urls)), rules, ca)
    except ValueError as error:
        raise Misunderstood(str(error)) from None


def options_for(parsed: argparse.Namespace, told: FetchRequest) -> Options:
    """Return the options of the download that a request is for. Raise Misunderstood."""
    if parsed.output == "-" and (parsed.go_on or parsed.output_dir):
        raise Misunderstood("-o - can't be used with -c or --output-dir")
    checksum, pieces = _checksums(parsed)
    return Options(
        tuple(location.url for location in told.locations),
        told,
        parsed.output,
        parsed.output_dir,
        parsed.go_on,
        None if parsed.range is None else _range(parsed.range),
        _limit(parsed),
        checksum,
        parsed.plot,
        parsed.json,
        parsed.quiet,
        pieces=pieces,
    )


def header(text: str) -> tuple[str, str]:
    """Return the name and value of ``Name: value``. Raise Misunderstood."""
    name, colon, value = text.partition(":")
    try:
        if not colon:
            raise ValueError("has no colon; write it as 'Name: value'")
        FieldName().bound(name)
        refuse_coding(name)
        FieldValue().bound(value.strip())
    except ValueError as error:
        raise Misunderstood(f"--header {text!a}: {error}") from None
    return name, value.strip()


def _authorities(text: str) -> Path:
    """Return the file of CA certificates. Raise Misunderstood if it holds none."""
    from aprp.config.files import check_authorities  # few downloads name one

    path = Path(text)
    try:
        check_authorities(path)
    except ValueError as error:
        raise Misunderstood(f"--ca {error}") from None
    return path


def _range(text: str) -> Spec:
    specs = parse_range(b"bytes=" + text.encode("utf-8", "replace"))
    if specs is None or len(specs) != 1 or specs[0] == Suffix(0):
        raise Misunderstood(f"--range {text}: write one range, such as 0-499, 500- or -500")
    return specs[0]


def _limit(parsed: argparse.Namespace) -> int | None:
    return None if parsed.limit_rate is None else _rate(parsed.limit_rate)


def _rate(text: str) -> int:
    try:
        rate: int = Size().read(text)
        Size().bound(rate)
    except ValueError as error:
        raise Misunderstood(f"--limit-rate {error}") from None
    return rate


def _checksums(parsed: argparse.Namespace) -> tuple[Checksum | None, Pieces | None]:
    """Return the checksum of the file and those of its pieces, as far as they are given."""
    whole: list[Checksum] = []
    pieces: list[Pieces] = []
    for text in parsed.checksum or ():
        shown = text if len(text) <= 100 else text[:100] + "..."
        try:
            if "/" in text.partition("=")[0]:
                pieces.append(parse_pieces(text))
            else:
                whole.append(Checksum.parse(text))
        except ValueError as error:
            raise Misunderstood(f"--checksum {shown}: {error}") from None
    for found, what in ((whole, "file"), (pieces, "pieces")):
        if len(found) > 1:
            raise Misunderstood(f"--checksum is given twice for the {what}")
    return whole[0] if whole else None, pieces[0] if pieces else None
