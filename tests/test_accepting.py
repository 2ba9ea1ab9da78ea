"""Many clients that come at once are accepted a few at a time."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from aprp.daemon.certificates import Certificates
from aprp.daemon.listening import ACCEPTS, Listener
from tests.support.patience import HANG

CLIENTS = 200
reactor: Any = installed


class Counting(Factory):
    """Counts connections."""

    noisy = False

    def __init__(self) -> None:
        self.count = 0

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        self.count += 1
        return Protocol()


class AcceptTests(TestCase):
    timeout = HANG

    async def test_what_is_served_waits_for_few(self) -> None:
        factory = Counting()
        where = "tcp:0:interface=127.0.0.1"
        listener = Listener(where, factory, reactor, "", Certificates(()))
        await listener.open()
        self.addCleanup(listener.stopService)
        assert listener.bound is not None
        for _ in range(CLIENTS):  # all before the reactor's next turn: the backlog takes them
            client = socket.create_connection(listener.bound, 5)
            self.addCleanup(client.close)
        most = before = 0
        while factory.count < CLIENTS:
            await deferLater(reactor, 0)
            most, before = max(most, factory.count - before), factory.count
        self.assertLessEqual(most, ACCEPTS)
