"""OpenPGP keys of tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase


def signing_key(case: SynchronousTestCase) -> tuple[Path, Callable[[bytes], bytes]]:
    """Return a file with a new key, and what signs with that; skip the test without gpg."""
    home = Path(tempfile.mkdtemp())  # the path of gpg's socket would be too long elsewhere
    case.addCleanup(shutil.rmtree, home, ignore_errors=True)

    def gpg(*arguments: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(home), "--batch", "--yes", "--passphrase", ""]
        try:
            done = subprocess.run(
                [*command, *arguments], input=data, capture_output=True, check=True
            )
        except FileNotFoundError:
            if os.environ.get("CI"):
                raise
            raise SkipTest("gpg isn't installed") from None
        return done.stdout

    gpg("--quick-generate-key", "tests@a.example", "ed25519", "sign", "never")
    case.addCleanup(
        subprocess.run, ["gpgconf", "--homedir", str(home), "--kill", "all"], check=False
    )
    keys = home / "keys.asc"
    keys.write_bytes(gpg("--armor", "--export"))
    return keys, lambda data: gpg("--armor", "--detach-sign", data=data)
