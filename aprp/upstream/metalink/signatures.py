"""Check OpenPGP signatures with the program gpgv, in a thread.

The keys are in a file that `gpg --export` wrote, with or without `--armor`.
"""

from __future__ import annotations

import base64
import binascii
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet.threads import deferToThread

SECONDS = 10
"""That gpgv may take, besides the time for reading the file."""
LEAST_RATE = 10e6
"""Bytes per second that it reads at least."""
MOST_BYTES = 64 << 10
"""The largest signature."""
SUFFIXES = (".asc", ".sig")
"""What the name of a signature has after that of the signed file."""
UNSIGNED = (
    f"there is none beside it, with {' or '.join(SUFFIXES)} after its name; a <signature> in it is "
    "of the file, and doesn't prove the pieces and mirrors that it lists"
)


class BadSignature(Exception):
    """Raised if no key has signed the data, or that can't be found out; the text says why."""


def not_signed(name: str, why: str) -> str:
    """Return the message for a Metalink whose signature isn't good."""
    return f"{name}: the signature isn't good: {why}"


async def check_signature(signed: bytes | Path, signature: bytes, keys: Path) -> None:
    """Raise BadSignature unless `signature`, a detached one, is of one of the keys.

    `signed` is the data, or the file that has it.
    """
    await deferToThread(_check, signed, signature, keys)


def _check(signed: bytes | Path, signature: bytes, keys: Path) -> None:
    with TemporaryDirectory(prefix="aprp-") as folder:
        ring, sent = Path(folder, "keys"), Path(folder, "signature")
        try:
            ring.write_bytes(_binary(keys.read_bytes()))
        except OSError as error:
            raise BadSignature(f"{keys} can't be read: {error.strerror}") from None
        except (ValueError, binascii.Error):
            raise BadSignature(f"{keys} doesn't hold OpenPGP keys") from None
        sent.write_bytes(signature)
        if isinstance(signed, bytes):
            Path(folder, "signed").write_bytes(signed)
            signed = Path(folder, "signed")
        seconds = SECONDS + signed.stat().st_size / LEAST_RATE
        command = ["gpgv", "--homedir", folder, "--keyring", str(ring), str(sent), str(signed)]
        _run(command, seconds)


def _run(command: list[str], seconds: float) -> None:
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    except FileNotFoundError:
        raise BadSignature("gpgv isn't installed, which checks signatures") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadSignature(f"gpgv can't be run: {error}") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["gpgv failed"]
        raise BadSignature(lines[-1].removeprefix("gpgv: "))


def _binary(keys: bytes) -> bytes:
    """Return keys without their armor (RFC 9580 section 6.2)."""
    text = keys.lstrip()
    if not text.startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"):
        return keys
    found = b""
    for block in text.split(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")[1:]:
        lines = block.partition(b"-----END")[0].strip(b"\r\n").splitlines()
        blank = next((at for at, line in enumerate(lines) if not line.strip()), -1)
        body = [line for line in lines[blank + 1 :] if not line.startswith(b"=")]
        found += base64.b64decode(b"".join(body), validate=True)
    return found
