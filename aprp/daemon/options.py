"""The command line of ``twistd aprp``."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import ClassVar, NoReturn

from twisted.python.usage import Options as TwistedOptions
from twisted.python.usage import UsageError

from aprp import __version__
from aprp.config import Settings, for_sources, for_upstream
from aprp.config.faults import nearest

DEFAULT_PORT = 8000
TWISTD = "twistd aprp"

EXCLUSIVE = ("config", "upstream", "source", "demo")
"""The options that say what to serve; at most one may be given."""


class Options(TwistedOptions):
    """The parsed command line, with at most one of `EXCLUSIVE`.

    `quick` holds the settings made from --upstream or --source.
    """

    synopsis = "[--config FILE | --upstream URL | --source URL ... | --demo] [--port PORT]"
    longdesc = (
        "Without any of these, the configuration is etc/aprp.yaml in the working directory, "
        "else /etc/aprp/aprp.yaml. Without a file, the daemon listens on 127.0.0.1."
    )
    optFlags: ClassVar = [
        ["demo", None, "Play a clip from built-in mirrors."],
        ["demo-fault", None, "Like --demo, and kill the fastest mirror in the middle of the film."],
    ]
    optParameters: ClassVar = [
        ["config", "c", None, "The configuration file."],
        ["upstream", None, None, "Without a file: proxy this URL."],
        ["port", "p", None, f"Without a file: the port to listen on (default {DEFAULT_PORT})."],
    ]

    program: ClassVar = TWISTD
    """The command name in error messages."""

    def __init__(self) -> None:
        super().__init__()
        self["source"] = []
        self.quick: Settings | None = None

    def opt_source(self, url: str) -> None:
        """Without a file: fetch from this URL or directory; may be repeated, to use several."""
        self["source"].append(url)

    def getSynopsis(self) -> str:
        """Return the first line of the help."""
        if self.program == TWISTD:
            return str(super().getSynopsis())
        return f"Usage: {self.program} {self.synopsis}"

    def opt_version(self) -> NoReturn:
        """Print the version and exit."""
        print(f"aprp {__version__}")
        sys.exit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse the command line. If it is invalid, print one line and exit with status 2."""
        try:
            super().parseOptions(options)
        except UsageError as error:
            print(f"{self.program}: {self._explained(str(error))}", file=sys.stderr)
            sys.exit(2)

    def _explained(self, message: str) -> str:
        """Return the message, with a suggestion if the option is unknown."""
        found = re.fullmatch(r"option (-\S+) not (?:recognized|a unique prefix)", message)
        if found is None:
            return message
        known = [f"--{name}" for name in self.longOpt]
        meant = nearest(found[1], [word.rstrip("=") for word in known])
        hint = f"; did you mean {meant}?" if meant else ""
        return f"{found[1]} is not a known option{hint} ({self.program} --help lists all options)"

    def parseArgs(self, *others: str) -> None:
        if others:
            raise UsageError(f"{others[0]!r} is neither an option nor an option's value")

    def postOptions(self) -> None:
        self["demo"] = self["demo"] or self["demo-fault"]
        named = [way for way in EXCLUSIVE if self[way]]
        if len(named) > 1:
            raise UsageError(f"--{named[0]} and --{named[1]} can't be given together")
        if self["port"] is not None and (not named or named == ["config"]):
            raise UsageError(
                "--port goes with --upstream, --source or --demo; "
                "a configuration file has `listen:` instead"
            )
        self["port"] = self._port()
        try:
            if self["upstream"]:
                self.quick = for_upstream(self["upstream"], self["port"])
            elif self["source"]:
                self.quick = for_sources(self["source"], self["port"])
        except ValueError as error:
            raise UsageError(f"--{named[0]}: {error}") from None

    def _port(self) -> int:
        text = DEFAULT_PORT if self["port"] is None else self["port"]
        if not (str(text).isascii() and str(text).isdigit() and len(str(text)) <= 5):
            raise UsageError(f"--port {text} is not a number from 0 to 65535")
        if int(text) > 65535:
            raise UsageError(f"--port {text} is larger than 65535, the highest port")
        return int(text)
