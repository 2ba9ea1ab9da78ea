"""Report the daemon's state to the service manager: systemd's notification protocol, sd_notify(3).

Without ``NOTIFY_SOCKET`` in the environment nothing is sent. A message that can't be sent is
dropped.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


def notify(*assignments: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send ``READY=1`` and the like in one datagram; True if the manager's socket took it.

    ``NOTIFY_SOCKET`` is an absolute path, or ``@name`` for Linux's abstract namespace.
    """
    where = environ.get("NOTIFY_SOCKET", "")
    if where[:1] not in ("/", "@"):
        return False
    address = "\0" + where[1:] if where.startswith("@") else where
    message = "\n".join(line.replace("\n", " ") for line in assignments)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        try:
            sender.sendto(message.encode(), address)
        except OSError:
            return False
    return True
