"""What ``aprp get`` is told, as arguments and as a value."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from aprp.config.network import FieldName, FieldValue
from aprp.config.scalars import Size
from aprp.core.http.ranges import Spec, Suffix, parse_range
from aprp.core.http.urls import Url
from aprp.core.scheduling.messages import MIB
from aprp.core.scheduling.read_ahead import SMALLEST_WINDOW
from aprp.get.checksum import ALGORITHMS, Checksum
from aprp.library.fetch_request import FetchRequest, fetch_request

WINDOW = 32 * MIB
"""Bytes read ahead at most; under --limit-rate, no more than it lets through in a second."""

EXIT_CODES = """\
exit status:
  0    the file is there, whole and with the checksum asked for
  1    no source could give the rest of it; -c can go on
  2    the command line can't be understood
  3    the destination can't be written
  4    the checksum is another; what came was thrown away
  5    -c can't go on: what is here isn't of the file that is there now
  130  interrupted (Control-C), 143 terminated; -c can go on
  141  the reader of standard output closed it
"""


class Misunderstood(Exception):
    """An argument that can't be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Options:
    """One command line. `spec` is None for the whole file; `limit_rate` is bytes a second."""

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXIT_CODES
    add = parser.add_argument
    add("urls", nargs="+", metavar="URL", help="where the file is; the same file at each")
    add("-o", "--output", metavar="FILE", help="the file to write, - for standard output")
    add("--output-dir", type=Path, metavar="DIR", help="the folder for it")
    add("-c", "--continue", dest="go_on", action="store_true", help="go on with a partial file")
    add("--range", metavar="FIRST-LAST", help="only these bytes, as 0-499, 500- or -500")
    add("--limit-rate", metavar="SIZE", help="bytes a second at most, as 500KiB or 2MB")
    add("--header", action="append", default=[], metavar="'NAME: VALUE'", help="a request field")
    algorithms = ", ".join(ALGORITHMS)
    add("--checksum", metavar="ALGORITHM=HEX", help=f"what it must hash to: {algorithms}")
    add(
        "--same",
        choices=("modified", "length"),
        default="modified",
        help="what makes copies the same file: length and Last-Modified, or the length alone",
    )
    add("--ca", metavar="FILE", help="a PEM file of the certificates to trust")
    add("--json", action="store_true", help="a summary as JSON, on standard output")
    add("--plot", type=Path, metavar="FILE.svg", help="draw what happened")
    add("-q", "--quiet", action="store_true", help="no progress")


def read(parsed: argparse.Namespace) -> Options:
    """The value; raises Misunderstood."""
    settings: dict[str, object] = {"same": parsed.same, "redirects": "public"}
    if parsed.header:
        settings["headers"] = dict(_header(text) for text in parsed.header)
    limit_rate = None if parsed.limit_rate is None else _rate(parsed.limit_rate)
    if limit_rate is not None:
        window = min(max(limit_rate, SMALLEST_WINDOW), WINDOW)
        settings |= {"window": window, "block_size": min(window, MIB)}
    if parsed.ca is not None:
        settings["tls"] = {"ca": parsed.ca}
    try:
        told = fetch_request(parsed.urls, **settings)  # type: ignore[arg-type]
    except ValueError as error:
        raise Misunderstood(str(error)) from None
    if parsed.output == "-" and (parsed.go_on or parsed.output_dir):
        raise Misunderstood("-o - can't be used with -c or --output-dir")
    return Options(
        tuple(location.url for location in told.locations),
        told,
        parsed.output,
        parsed.output_dir,
        parsed.go_on,
        None if parsed.range is None else _range(parsed.range),
        limit_rate,
        None if parsed.checksum is None else _checksum(parsed.checksum),
        parsed.plot,
        parsed.json,
        parsed.quiet,
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    try:
        if not colon:
            raise ValueError("has no colon; write it as 'Name: value'")
        FieldName().bound(name)
        FieldValue().bound(value.strip())
    except ValueError as error:
        raise Misunderstood(f"--header {text!a}: {error}") from None
    return name, value.strip()


def _range(text: str) -> Spec:
    specs = parse_range(b"bytes=" + text.encode("utf-8", "replace"))
    if specs is None or len(specs) != 1 or specs[0] == Suffix(0):
        raise Misunderstood(f"--range {text}: write one range, as 0-499, 500- or -500")
    return specs[0]


def _rate(text: str) -> int:
    try:
        rate: int = Size().read(text)
        Size().bound(rate)
    except ValueError as error:
        raise Misunderstood(f"--limit-rate {error}") from None
    return rate


def _checksum(text: str) -> Checksum:
    try:
        return Checksum.parse(text)
    except ValueError as error:
        raise Misunderstood(f"--checksum {text}: {error}") from None
