"""The client's side of the control socket: one command, one answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PATIENCE = 60.0
"""Seconds that a command may take; a reload may have to wait for another one."""


class ControlFailed(Exception):
    """A command that wasn't carried out; the text says why, and what to do."""


def request(path: Path, command: str, arguments: Sequence[str] = ()) -> Any:
    """Return the result of a command of the daemon whose control socket is at the path."""
    line = json.dumps({"command": command, "arguments": list(arguments)}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(path))
            connection.sendall(line)
            with connection.makefile("rb") as incoming:
                answer = incoming.readline()
    except TimeoutError:
        raise ControlFailed(f"{path}: no answer within {PATIENCE:g} s") from None
    except OSError as error:
        raise ControlFailed(_unreachable(path, error)) from None
    if not answer.endswith(b"\n"):
        raise ControlFailed(f"{path}: the daemon ended before it answered")
    try:
        parsed = json.loads(answer)
        if parsed["ok"]:
            return parsed["result"]
        said = str(parsed["error"])
    except (ValueError, KeyError, TypeError):
        raise ControlFailed(f"{path} isn't the control socket of an aprp daemon") from None
    raise ControlFailed(said)


def _unreachable(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    if isinstance(error, FileNotFoundError):
        advice = "is the daemon running, and is this its `control:`? Another is named by --socket"
    elif isinstance(error, ConnectionRefusedError):
        advice = "the daemon that had it is gone; start it"
    elif isinstance(error, PermissionError):
        advice = "only root and the user of the daemon may use it"
    else:
        advice = "name the socket of a daemon with --socket"
    return f"can't reach the daemon at {path}: {reason}; {advice}"
