"""Certificates for TLS listeners: one for each name (SNI), reloaded when their files change.

TLS 1.2 and 1.3 only, with forward secrecy and authenticated ciphers. A connection keeps the
certificate that it began with. If the files become unusable, the certificates loaded before stay
in use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto
from twisted.application.service import Service
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolFactory
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from aprp.config import CertificateSettings
from aprp.core.values import dataclass
from aprp.web.file_stamp import FileStamp, stamp_of

LOOK_SECONDS = 30.0
"""Seconds between two checks of the files."""
_CIPHERS = AcceptableCiphers.fromOpenSSLCipherString("ECDHE+AESGCM:ECDHE+CHACHA20")
Protocols = tuple[bytes, ...]
_HTTP1: Protocols = (b"http/1.1",)
_PROTOCOLS: tuple[Protocols, ...] = (_HTTP1, (b"h2", *_HTTP1))
"""What listeners offer by ALPN; those that offer the same share their contexts."""
_BEGIN = b"-----BEGIN CERTIFICATE-----"


Stamp = tuple[FileStamp | None, ...]
"""The stamps of all files; it changes when one of the files does."""


class CannotUse(Exception):
    """Raised for an unusable certificate; the text says which file, and why."""


@dataclass(frozen=True, slots=True)
class LoadedCertificates:
    """Loaded certificates: `contexts` by what is offered and name, `first` for unknown names."""

    settings: tuple[CertificateSettings, ...]
    contexts: Mapping[tuple[Protocols, str], SSL.Context]
    first: Mapping[Protocols, SSL.Context]
    stamp: Stamp


@implementer(IOpenSSLServerConnectionCreator)
class Certificates(Service):
    """Terminates TLS for client connections. Raises `CannotUse` if a file is unusable.

    `clock` times the checks of the files; None: the reactor. With `quiet`, another process logs
    what becomes of them.
    """

    _log = Logger()

    def __init__(
        self, settings: Sequence[CertificateSettings], clock: Any = None, quiet: bool = False
    ) -> None:
        self._looking = LoopingCall(self.look)
        if clock is not None:
            self._looking.clock = clock
        self._quiet = quiet
        self._loaded = self.load(settings)

    def startService(self) -> None:
        super().startService()
        self._looking.start(LOOK_SECONDS)

    def stopService(self) -> None:
        super().stopService()
        if self._looking.running:
            self._looking.stop()

    def load(self, settings: Sequence[CertificateSettings]) -> LoadedCertificates:
        """Load the files, for `adopt`. Raise CannotUse if that fails."""
        stamp = _stamp(settings)
        contexts: dict[tuple[Protocols, str], SSL.Context] = {}
        first: dict[Protocols, SSL.Context] = {}
        for each in settings:
            for protocols in _PROTOCOLS:
                context, names = _load(each, protocols)
                context.set_tlsext_servername_callback(partial(self._choose, protocols))
                first.setdefault(protocols, context)
                for name in names:
                    contexts.setdefault((protocols, name), context)
        return LoadedCertificates(tuple(settings), contexts, first, stamp)

    def adopt(self, loaded: LoadedCertificates) -> None:
        """Use these certificates for new connections."""
        self._loaded = loaded

    def look(self) -> None:
        """Reload the files if one of them changed."""
        stamp = _stamp(self._loaded.settings)
        if stamp == self._loaded.stamp:
            return
        try:
            self.adopt(self.load(self._loaded.settings))
        except CannotUse as error:
            self._loaded = replace(self._loaded, stamp=stamp)
            if not self._quiet:
                self._log.error(
                    "certificates not reloaded, the old ones stay in use: {reason}",
                    reason=str(error),
                )
        else:
            if not self._quiet:
                self._log.info("certificates reloaded")

    def wrap(self, factory: IProtocolFactory) -> TLSMemoryBIOFactory:
        """Wrap a factory in TLS."""
        return TLSMemoryBIOFactory(self, False, factory)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        assert self._loaded.first, "a configuration with tls: endpoints has certificates"
        protocols = _offered(protocol)
        return SSL.Connection(self._loaded.first[protocols], None)

    def _choose(self, protocols: Protocols, connection: SSL.Connection) -> None:
        """Select the certificate for the name that the client requests, or the first."""
        name = (connection.get_servername() or b"").decode("ascii", "replace").lower()
        wild = "*." + name.partition(".")[2]
        contexts = self._loaded.contexts
        context = contexts.get((protocols, name)) or contexts.get((protocols, wild))
        if context is not None:
            connection.set_context(context)


def _load(settings: CertificateSettings, protocols: Protocols) -> tuple[SSL.Context, list[str]]:
    """Return the TLS context and the names in its certificate, in lower case."""
    try:
        content = settings.certificate.read_bytes()
        key = (settings.key or settings.certificate).read_bytes()
        chain = [
            crypto.load_certificate(crypto.FILETYPE_PEM, _BEGIN + part)
            for part in content.split(_BEGIN)[1:]
        ]
        options = CertificateOptions(
            privateKey=crypto.load_privatekey(crypto.FILETYPE_PEM, key),
            certificate=chain[0],
            extraCertChain=chain[1:],
            raiseMinimumTo=TLSVersion.TLSv1_2,
            acceptableCiphers=_CIPHERS,
        )
        context = options.getContext()
        context.set_alpn_select_callback(partial(_select, protocols))
        context.check_privatekey()
    except OSError as error:
        raise CannotUse(f"{error.filename} can't be read: {error.strerror}") from None
    except (SSL.Error, crypto.Error, IndexError, ValueError, TypeError):
        raise CannotUse(
            f"{settings.certificate} and its key can't be used; both must be PEM files and match"
        ) from None
    return context, _names(chain[0])


def _offered(protocol: Any) -> Protocols:
    """Return what the listener of a connection offers."""
    listener = getattr(getattr(protocol, "factory", None), "wrappedFactory", None)
    accepts = getattr(listener, "acceptableProtocols", lambda: _HTTP1)
    protocols = tuple(accepts())
    return protocols if protocols in _PROTOCOLS else _HTTP1


def _select(protocols: Protocols, _: SSL.Connection, offered: Sequence[bytes]) -> Any:
    """Choose the first of ours that the client offers."""
    return next((each for each in protocols if each in offered), SSL.NO_OVERLAPPING_PROTOCOLS)


def _names(certificate: crypto.X509) -> list[str]:
    try:
        names = certificate.to_cryptography().extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in names.value.get_values_for_type(x509.DNSName)]


def _stamp(settings: Sequence[CertificateSettings]) -> Stamp:
    paths = {path for each in settings for path in (each.certificate, each.key) if path is not None}
    return tuple(stamp_of(path) for path in sorted(paths))
