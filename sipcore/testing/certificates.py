"""Certificates for tests of SIP over TLS: an authority of their own, so that nothing has to trust it but the test."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """An authority, and a certificate of it for `localhost` and 127.0.0.1, as PEM files."""

    ca_file: str
    certificate_file: str
    key_file: str

    @classmethod
    def write(cls, folder: Path) -> Certificates:
        """Make new ones in this folder.

        Raises:
            OSError: it cannot be written to.
        """
        ca = trustme.CA()
        leaf = ca.issue_cert("localhost", "127.0.0.1")
        names = [str(folder / name) for name in ("ca.pem", "certificate.pem", "key.pem")]
        ca.cert_pem.write_to_path(names[0])
        leaf.cert_chain_pems[0].write_to_path(names[1])
        leaf.private_key_pem.write_to_path(names[2])
        return cls(*names)

    @property
    def settings(self) -> dict[str, str]:
        """Of a switch that listens for TLS on a free port, `switch.tls_address`, and trusts this authority when it calls out."""
        return {
            "tls_address": "127.0.0.1:0",
            "tls_certificate": self.certificate_file,
            "tls_key": self.key_file,
            "tls_ca_file": self.ca_file,
        }

    def for_client(self) -> ssl.SSLContext:
        """Of one who connects, and trusts this authority alone."""
        return ssl.create_default_context(cafile=self.ca_file)

    def for_server(self) -> ssl.SSLContext:
        """Of one who is connected to, as `localhost`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate_file, self.key_file)
        return context
