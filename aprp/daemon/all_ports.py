"""What the daemon listens on: ports for clients, the admin port, the socket of `aprp ctl`.

A reload changes them together, with their certificates and the rules of the admin port, or not at
all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.interfaces import IProtocolFactory
from twisted.web.resource import Resource

from aprp.config import Settings
from aprp.core.values import dataclass
from aprp.daemon.certificates import CannotUse, Certificates, LoadedCertificates
from aprp.daemon.control import ControlFactory, socket_of
from aprp.daemon.listening import CannotServe, Listener
from aprp.daemon.ports import PortChange, Ports, open_all
from aprp.web.admin.actions import Handler
from aprp.web.admin.gate import AdminGate, AdminRules
from aprp.web.admin.site import site_of

ADVICE = "end the program that uses the port, or name another in the configuration"
OTHER_SOCKET = "end the daemon that uses it, or name another with control:"


@dataclass(frozen=True, slots=True)
class Change:
    """What was opened and loaded for new settings, and isn't in use yet."""

    certificates: LoadedCertificates
    admin: AdminRules
    ports: tuple[PortChange, ...]

    @property
    def opened_for_clients(self) -> tuple[Listener, ...]:
        """The ports for clients that were opened."""
        return self.ports[0].opened

    @property
    def for_clients(self) -> tuple[Listener, ...]:
        """All ports for clients once the change is made."""
        return self.ports[0].after

    @property
    def for_admin(self) -> tuple[Listener, ...]:
        """The admin port once the change is made."""
        return self.ports[1].after


class AllPorts(MultiService):
    """All ports of a daemon. Creating and starting them raise `CannotServe`.

    `clients` serves the ports for clients, which `sockets` opens, if that isn't the reactor. The
    admin port shows the tree `admin`; the control socket runs `commands`. `advice` is logged if a
    port can't be opened. With `quiet`, another process logs what becomes of the certificates.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        clients: IProtocolFactory,
        admin: Resource,
        commands: Mapping[str, Handler],
        advice: str = ADVICE,
        sockets: Any = None,
        quiet: bool = False,
    ) -> None:
        super().__init__()
        try:
            self._certificates = Certificates(settings.certificates, reactor, quiet)
        except CannotUse as error:
            raise CannotServe(str(error)) from None
        self._certificates.setServiceParent(self)
        self._gate = AdminGate(admin, AdminRules.of(settings.admin))
        control, opener = ControlFactory(commands), sockets or reactor
        where, admin_at, control_at = _wanted(settings)
        self.clients = Ports(where, clients, opener, advice, self._certificates)
        """The ports for clients."""
        self.admin = Ports(admin_at, site_of(self._gate), reactor, advice, self._certificates)
        """The admin port, if there is one."""
        self._control = Ports(control_at, control, reactor, OTHER_SOCKET, self._certificates)
        self._all = (self.clients, self.admin, self._control)
        for ports in self._all:
            ports.setServiceParent(self)

    @property
    def addresses(self) -> list[str]:
        """The addresses of the ports for clients and of the admin port: host and port, or an
        endpoint string.
        """
        return self.clients.addresses + self.admin.addresses

    @property
    def bound(self) -> list[tuple[str, int]]:
        """The same for programs, as far as it is TCP."""
        return self.clients.bound + self.admin.bound

    async def open(self, settings: Settings) -> Change:
        """Load and open what these settings need, beside what is in use; raises `CannotServe`."""
        try:
            certificates = self._certificates.load(settings.certificates)
            rules = AdminRules.of(settings.admin)
        except CannotUse as error:
            raise CannotServe(str(error)) from None
        wanted = list(zip(self._all, _wanted(settings), strict=True))
        return Change(certificates, rules, tuple(await open_all(wanted)))

    async def undo(self, change: Change) -> None:
        """Close what was opened for a change."""
        for ports, each in zip(self._all, change.ports, strict=True):
            await ports.undo(each)

    async def make(self, change: Change) -> None:
        """Use what was opened and loaded, and close what is no longer wanted."""
        self._gate.rules = change.admin
        self._certificates.adopt(change.certificates)
        for ports, each in zip(self._all, change.ports, strict=True):
            await ports.make(each)


def _wanted(settings: Settings) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the endpoints for clients, that of the admin port, and that of the control socket."""
    admin = () if settings.admin is None else (settings.admin.listen,)
    return tuple(settings.listen), admin, tuple(socket_of(settings))
