"""Files of users and bcrypt hashes, as ``htpasswd -B`` writes them."""

from __future__ import annotations

_BCRYPT = (b"$2y$", b"$2b$", b"$2a$")


def parse_htpasswd(content: bytes) -> dict[bytes, bytes]:
    """Hashes by user. ValueError says which line can't be used, and what to do."""
    users = {}
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        user, colon, hashed = line.strip().partition(b":")
        if not (colon and user):
            raise ValueError(f"line {number} isn't USER:HASH; make it with htpasswd -B")
        if not hashed.startswith(_BCRYPT):
            raise ValueError(f"line {number} has no bcrypt hash; create it with htpasswd -B")
        users[user] = hashed
    if not users:
        raise ValueError("has no users; add one with htpasswd -B")
    return users
