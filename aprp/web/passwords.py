"""Basic authentication (RFC 7617) against an htpasswd file with bcrypt hashes.

Checking a bcrypt hash is slow by design, so a thread does it, and valid passwords are remembered by
a keyed digest. The file is reloaded when it changes.
"""

from __future__ import annotations

import binascii
import hmac
import secrets
from base64 import b64decode
from pathlib import Path

import bcrypt
from twisted.internet.threads import deferToThread

from aprp.core.http.fields import Fields
from aprp.core.http.htpasswd import parse_htpasswd
from aprp.web.file_stamp import stamp_of

_REMEMBERED = 1024
_NOBODY = bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(rounds=5))
"""The hash that an unknown user's password is checked against, so that the time doesn't reveal
which users exist."""


class Passwords:
    """The users of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._users = parse_htpasswd(path.read_bytes())
        self._stamp = stamp_of(path)
        self._key = secrets.token_bytes(32)
        self._fitted: dict[bytes, None] = {}

    async def user_of(self, request: Fields) -> str | None:
        """Return the user of the request's name and password, or None if they aren't valid."""
        credentials = _credentials(request)
        if credentials is None:
            return None
        self._read_again()
        user, password = credentials
        hashed = self._users.get(user, _NOBODY)
        seen = hmac.digest(self._key, b"\0".join((user, hashed, password)), "sha256")
        if seen not in self._fitted:
            fits = await deferToThread(_fits, password, hashed)
            if not fits or user not in self._users:
                return None
            self._fitted[seen] = None
            if len(self._fitted) > _REMEMBERED:
                del self._fitted[next(iter(self._fitted))]
        return user.decode("utf-8", "replace")

    def _read_again(self) -> None:
        """Reload the file if it has changed; keep the old users if it can't be read."""
        stamp = stamp_of(self._path)
        if stamp is None or stamp == self._stamp:
            return
        try:
            self._users = parse_htpasswd(self._path.read_bytes())
        except (OSError, ValueError):
            return
        self._stamp = stamp


def _credentials(request: Fields) -> tuple[bytes, bytes] | None:
    scheme, _, told = (request.get(b"authorization") or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = b64decode(told.strip(), validate=True).partition(b":")
    except binascii.Error:
        return None
    return (user, password) if colon else None


def _fits(password: bytes, hashed: bytes) -> bool:
    """Whether the password has that hash; bcrypt takes 72 bytes at most."""
    try:
        return len(password) <= 72 and bcrypt.checkpw(password, hashed)
    except ValueError:
        return False
