"""``aprp init``: asks what isn't given, and writes a configuration that passes `aprp check`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from aprp.config import ConfigFaults, load_text
from aprp.core.values import dataclass
from aprp.init.sample import sample
from aprp.init.text import Wanted, configuration, endpoint

LISTEN = "127.0.0.1:8000"
ADMIN = "127.0.0.1:8001"
NO_ADMIN = "none"


class CannotWrite(Exception):
    """A configuration that can't be written; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class _Answers:
    """What was given, or answered. Nothing in `admin`: no such port."""

    urls: Sequence[str]
    mirrored: bool
    listen: str
    admin: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``aprp init``."""
    parser.description = (
        "Write a commented configuration. Without --upstream and --source, ask for them on the "
        "terminal."
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--upstream", metavar="URL", help="a reverse proxy for this URL")
    what.add_argument(
        "--source",
        metavar="URL",
        action="append",
        default=[],
        help="fetch from this URL and the others given so, all at once",
    )
    what.add_argument(
        "--sample", action="store_true", help="print the sample, which has every setting"
    )
    parser.add_argument(
        "--listen",
        metavar="WHERE",
        help=f"PORT, ADDRESS:PORT or an endpoint string; {LISTEN} by default",
    )
    parser.add_argument(
        "--admin",
        metavar="WHERE",
        help=f"the operator's port, in the same form, or {NO_ADMIN}; {ADMIN} by default",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="a new file; standard output by default"
    )


def run(parsed: argparse.Namespace) -> int:
    """Write the configuration; exit status 1 if it can't be written, 2 if nothing was asked for."""
    if parsed.sample:
        text = sample()
    else:
        answers = _answers(parsed)
        if answers is None:
            print(
                "aprp init: give --upstream URL or --source URL, or run it in a terminal",
                file=sys.stderr,
            )
            return 2
        text = configuration(_wanted(answers))
    try:
        _write(text, parsed.output)
    except CannotWrite as error:
        print(f"aprp init: {error}", file=sys.stderr)
        return 1
    return 0


def _answers(parsed: argparse.Namespace) -> _Answers | None:
    """Return what the options say, or what is typed at the terminal; None if there is neither."""
    if parsed.upstream or parsed.source:
        urls = [parsed.upstream] if parsed.upstream else parsed.source
        listen, admin = parsed.listen or LISTEN, parsed.admin or ADMIN
        return _Answers(urls, not parsed.upstream, listen, admin)
    return ask(_prompt, parsed.listen, parsed.admin) if sys.stdin.isatty() else None


def ask(
    prompt: Callable[[str], str], listen: str | None = None, admin: str | None = None
) -> _Answers | None:
    """Ask for the URLs, and for what isn't given; None if no URL is answered."""
    said = "URL of the upstream, or URLs of mirrors of the same files with spaces between: "
    urls = prompt(said).split()
    if not urls:
        return None
    listen = listen or prompt(f"Listen on [{LISTEN}]: ").strip() or LISTEN
    admin = admin or prompt(f"Operator's port, or {NO_ADMIN} [{ADMIN}]: ").strip() or ADMIN
    return _Answers(urls, len(urls) > 1, listen, admin)


def _prompt(text: str) -> str:
    """A line from the terminal. Standard output is for the configuration."""
    print(text, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()


def _wanted(answers: _Answers) -> Wanted:
    return Wanted(
        upstream=None if answers.mirrored else answers.urls[0],
        sources=answers.urls if answers.mirrored else (),
        listen=endpoint(answers.listen),
        admin=None if answers.admin == NO_ADMIN else endpoint(answers.admin),
    )


def _write(text: str, path: Path | None) -> None:
    """Write a text that has no faults to a new file, or to standard output."""
    try:
        load_text(text, path or Path("aprp.yaml"))
    except ConfigFaults as faults:
        raise CannotWrite(
            "; ".join(f"{fault.key}: {fault.message}" for fault in faults.faults)
        ) from None
    if path is None:
        sys.stdout.write(text)
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise CannotWrite(f"{path} exists; name another file, or move it away") from None
    except OSError as error:
        raise CannotWrite(f"{path} can't be written: {error.strerror}") from None
    print(f"wrote {path}; start it with: aprp serve --config {path}", file=sys.stderr)
