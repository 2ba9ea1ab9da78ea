"""Settings that name files. Each file is checked as far as possible without opening it for writing.

So `aprp check`, startup and reload report the same faults: files that are missing, unreadable or
not writable for the current user, and keys that don't match their certificates.
"""

from __future__ import annotations

import os
import pwd
import ssl
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from aprp.config.scalars import Scalar
from aprp.core.http.htpasswd import parse_htpasswd

if TYPE_CHECKING:
    from pydantic import ValidationInfo

MOST_OF_SOCKET = 107
"""The maximum length of a unix socket's path in bytes, without the final NUL; see unix(7)."""


class OutputFile(Scalar):
    """A file to write, relative to the configuration's folder; ``-`` if `dash` is set."""

    types = (Path, str)

    def __init__(self, dash: bool = False) -> None:
        self.dash = dash

    def read_in(self, text: str, info: ValidationInfo) -> Path | str:
        if text == "-" and self.dash:
            return text
        if text in ("", "-"):
            raise ValueError("is not the name of a file")
        path = _resolved(text, info)
        _check_writable(path)
        return path


class SocketFile(Scalar):
    """A unix socket to create, relative to the configuration's folder."""

    types = (Path,)

    def read_in(self, text: str, info: ValidationInfo) -> Path:
        if not text:
            raise ValueError("is not the name of a file")
        return _resolved(text, info)

    def bound(self, value: Path) -> None:
        if len(os.fsencode(value.absolute())) > MOST_OF_SOCKET:
            raise ValueError(
                f"is longer than the {MOST_OF_SOCKET} bytes that the path of a unix socket may have"
            )


class CaFile(Scalar):
    """A file of CA certificates in PEM, relative to the configuration's folder."""

    types = (Path,)

    def read_in(self, text: str, info: ValidationInfo) -> Path:
        path = _resolved(text, info)
        check_authorities(path)
        return path


class Directory(Scalar):
    """A directory to read files from, relative to the configuration's folder.

    It may be missing, as a mirror may be down; see `directory_trouble`.
    """

    types = (Path,)

    def read_in(self, text: str, info: ValidationInfo) -> Path:
        if not text:
            raise ValueError("is not the name of a directory")
        return _resolved(text, info)


def directory_trouble(path: Path) -> str | None:
    """Return why files of the directory can't be read now, or None.

    The disk has a second to answer, since a file server may hang.
    """
    found: list[str | None] = []

    def look() -> None:
        try:
            if not path.is_dir():
                os.stat(path)
                found.append(f"{path} is not a directory; name the one that holds the files")
            elif not os.access(path, os.R_OK | os.X_OK):
                found.append(f"{path} can't be read by {user_name()}; change its owner or its mode")
            else:
                found.append(None)
        except OSError as error:
            found.append(f"{path} can't be read: {error.strerror}")

    looking = Thread(target=look, daemon=True)
    looking.start()
    looking.join(1.0)
    return found[0] if found else f"{path} does not answer: its disk or file server hangs"


class InputFile(Scalar):
    """A file to read, relative to the configuration's folder."""

    types = (Path,)

    def read_in(self, text: str, info: ValidationInfo) -> Path:
        path = _resolved(text, info)
        check_readable(path)
        return path


def check_readable(path: Path) -> None:
    """Raise ValueError unless the file can be read."""
    try:
        path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from None


def check_certificate(certificate: Path, key: Path | None) -> None:
    """Raise ValueError unless the files hold a certificate and its private key."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=_no_password)
    except _Encrypted:
        message = f"{key or certificate} is encrypted; save it without a passphrase"
        raise ValueError(message) from None
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            raise ValueError(f"{key or certificate} is not the key of {certificate}") from None
        raise ValueError(
            f"{certificate} and its key aren't a certificate and a key in PEM"
        ) from None
    except OSError as error:
        raise ValueError(f"{certificate} can't be read: {error.strerror}") from None


class _Encrypted(Exception):
    """A private key that needs a passphrase."""


def _no_password() -> str:
    raise _Encrypted


class PasswordFile(Scalar):
    """An htpasswd file of bcrypt hashes, relative to the configuration's folder."""

    types = (Path,)

    def read_in(self, text: str, info: ValidationInfo) -> Path:
        path = _resolved(text, info)
        try:
            parse_htpasswd(path.read_bytes())
        except OSError as error:
            raise ValueError(f"{path} can't be read: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        return path


def _resolved(text: str, info: ValidationInfo) -> Path:
    if "\0" in text:
        raise ValueError("has a NUL in the name of a file")
    folder = info.context["folder"] if info.context else Path()
    return Path(folder, text)


def _check_writable(path: Path) -> None:
    """Raise ValueError if the current user can't open the file for writing."""
    if os.path.isdir(path):
        raise ValueError(f"{path} is a folder; name a file in it")
    if os.path.exists(path):
        if not os.access(path, os.W_OK):
            raise ValueError(
                f"{path} can't be written by {user_name()}; change its owner or its mode"
            )
        return
    folder = path.parent
    if not os.path.isdir(folder):
        raise ValueError(f"{folder} is not a folder; make it, or name a file elsewhere")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(
            f"{folder} can't be written by {user_name()}; change its owner or its mode, "
            "or check as the user that runs aprp"
        )


def user_name() -> str:
    """Return the current user, by name if it has one."""
    try:
        return f"the user {pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:
        return f"the user {os.geteuid()}"


def check_authorities(path: Path) -> None:
    """Raise ValueError unless the file holds certificates in PEM."""
    try:
        path.read_bytes()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise ValueError(f"{path} holds no certificates in PEM") from None
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}") from None
