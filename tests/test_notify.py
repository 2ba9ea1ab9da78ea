"""Notifications reach the manager's socket, and nothing is sent where there is none."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from aprp.daemon.notify import notify


class NotifyTests(SynchronousTestCase):
    def listener(self, address: str) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.settimeout(5)
        listener.bind(address)
        return listener

    def test_a_path(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = str(Path(folder.name) / "notify")
        listener = self.listener(path)
        self.assertTrue(notify("READY=1", "STATUS=serving", environ={"NOTIFY_SOCKET": path}))
        self.assertEqual(listener.recv(1000), b"READY=1\nSTATUS=serving")

    def test_an_abstract_name(self) -> None:
        name = f"aprp-test-{os.getpid()}"
        listener = self.listener("\0" + name)
        self.assertTrue(notify("STOPPING=1", environ={"NOTIFY_SOCKET": "@" + name}))
        self.assertEqual(listener.recv(1000), b"STOPPING=1")

    def test_a_status_cannot_add_assignments(self) -> None:
        name = f"aprp-test-{os.getpid()}"
        listener = self.listener("\0" + name)
        notify("STATUS=one\nREADY=1", environ={"NOTIFY_SOCKET": "@" + name})
        self.assertEqual(listener.recv(1000), b"STATUS=one READY=1")

    def test_nobody_to_tell(self) -> None:
        for environ in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}):
            self.assertFalse(notify("READY=1", environ=environ))

    def test_a_manager_that_is_gone_is_no_error(self) -> None:
        gone = str(Path(self.mktemp()).absolute())
        self.assertFalse(notify("READY=1", environ={"NOTIFY_SOCKET": gone}))
