"""TLS of the front door, by Python's ssl: contexts for who calls us and for whom we call (RFC 3261 §26.3, RFC 5922)."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final

from sipcore.wire import DoorTls

HANDSHAKE_TIMEOUT_S: Final = 5.0
SHUTDOWN_TIMEOUT_S: Final = 1.0


class TlsFilesError(Exception):
    """A certificate, key or authority file cannot be used; the text names it."""


class TlsContexts:
    """Made from the files once; a reload makes new ones, and connections that are open keep theirs.

    Attributes:
        server: `None` without a certificate: nobody can call us by TLS.
    """

    def __init__(self, settings: DoorTls) -> None:
        self._settings = settings
        self.server = _server(settings) if settings.certificate_file else None
        self._client = _client(settings) if settings.ca_file or settings.certificate_file else None

    @property
    def client(self) -> ssl.SSLContext:
        """For whom we call. The system's authorities, which take long to read, are read when they are wanted."""
        if self._client is None:
            self._client = _client(self._settings)
        return self._client


def load(settings: DoorTls) -> TlsContexts:
    """Read the files.

    Raises:
        TlsFilesError: one of them cannot be read, or key and certificate do not belong together.
    """
    return TlsContexts(settings)


def names_match(certificate: Mapping[str, Any] | None, name: str) -> bool:
    """Whether a certificate, as `ssl` gives it, is for the host that we called (RFC 5922 §7.1, §7.2).

    A DNS name, a `sip:` URI of a domain, or an address of the subjectAltName must be the same. Wildcards match nothing, and the common
    name is not looked at.
    """
    wanted = _plain_name(name)
    return (
        bool(wanted)
        and "*" not in wanted
        and any(
            (kind in ("DNS", "IP Address") and _plain_name(value) == wanted)
            or (kind == "URI" and value[:4].lower() == "sip:" and _plain_name(value[4:]) == wanted)
            for kind, value in (certificate or {}).get("subjectAltName", ())
        )
    )


def mismatch(certificate: Mapping[str, Any] | None, name: str) -> str:
    """Why a certificate is not for the host that we called, in words; a wildcard that a browser would take is named."""
    domain = _plain_name(name).partition(".")[2]
    names = [value for kind, value in (certificate or {}).get("subjectAltName", ()) if kind == "DNS"]
    if domain and any(_plain_name(value) == f"*.{domain}" for value in names):
        return f"it is not for {name} but for *.{domain}, and SIP takes no wildcards (RFC 5922)"
    return f"it is not for {name}"


def _plain_name(text: str) -> str:
    """In lower case without the last dot; of an address the usual form."""
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError:
        return text.lower().removesuffix(".")


def _server(settings: DoorTls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client could make us do handshakes all day
    _load_certificate(context, settings)
    if settings.verifies_clients:
        _load_authorities(context, settings.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _client(settings: DoorTls) -> ssl.SSLContext:
    """Checks the chain of the server's certificate; its name is for `names_match`, since OpenSSL knows the rules of HTTP only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    _load_authorities(context, settings.ca_file)
    if settings.certificate_file:
        _load_certificate(context, settings)  # for a far end that asks for ours
    return context


def _load_certificate(context: ssl.SSLContext, settings: DoorTls) -> None:
    try:
        # The callback keeps OpenSSL from asking a terminal for the passphrase of an encrypted key: it is refused instead.
        context.load_cert_chain(settings.certificate_file, settings.key_file or None, password=lambda: "")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = " and ".join(filter(None, (settings.certificate_file, settings.key_file)))
        raise TlsFilesError(f"certificate {files}: {_reason(error)}") from None


def _load_authorities(context: ssl.SSLContext, ca_file: str) -> None:
    if not ca_file:
        context.load_default_certs()
        return
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ValueError) as error:
        raise TlsFilesError(f"authorities {ca_file}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
