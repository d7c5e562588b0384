"""A trunk over TLS: the INVITE arrives, and only a server whose certificate is trusted sees it."""

import socket
import ssl
import threading
from contextlib import contextmanager

import pytest
import trustme

from sipcore import Switch

pytestmark = pytest.mark.sip


@contextmanager
def tls_trunk(certificate: trustme.LeafCert):
    """A server that answers one INVITE with 486; gives its port and the list of what it received."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    received: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        thread = threading.Thread(target=_serve, args=(listener, context, received))
        thread.start()
        try:
            yield listener.getsockname()[1], received
        finally:
            listener.close()
            thread.join()


def _serve(listener: socket.socket, context: ssl.SSLContext, received: list[str]) -> None:
    try:
        connection, _ = listener.accept()
        connection.settimeout(20)
        with context.wrap_socket(connection, server_side=True) as peer:
            while data := peer.recv(65536).decode():
                received.append(data)
                if data.startswith("INVITE"):
                    peer.sendall(_busy(data).encode())
    except OSError:  # the client did not like our certificate, or is gone
        pass


def _busy(invite: str) -> str:
    lines = invite.split("\r\n")
    copied = [line for line in lines if line.split(":")[0] in {"Via", "From", "Call-ID", "CSeq"}]
    to = next(line for line in lines if line.startswith("To:"))
    return "\r\n".join(["SIP/2.0 486 Busy Here", *copied, f"{to};tag=1", "Content-Length: 0", "", ""])


def place(tmp_path, port: int, ca: trustme.CA):
    ca_file = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    with Switch(
        trunk=f"sip:localhost:{port};transport=tls", sip_address="127.0.0.1:0", tls_ca_file=str(ca_file), cache_dir=tmp_path
    ) as switch:
        return switch.calls.create(destination="+821021656521").wait(timeout_s=30)


def test_trusted_trunk_gets_the_invite(tmp_path):
    ca = trustme.CA()
    with tls_trunk(ca.issue_cert("localhost")) as (port, received):
        record = place(tmp_path, port, ca)
    assert (record.hangup_reason, record.sip_code) == ("busy", 486)
    assert received[0].startswith(f"INVITE sip:+821021656521@localhost:{port};transport=tls SIP/2.0\r\nVia: SIP/2.0/TLS ")
    assert any(message.startswith("ACK ") for message in received)


@pytest.mark.parametrize("fault", ["unknown authority", "another name"])
def test_untrusted_trunk_sees_nothing(tmp_path, fault):
    ca = trustme.CA()
    certificate = trustme.CA().issue_cert("localhost") if fault == "unknown authority" else ca.issue_cert("other.example")
    with tls_trunk(certificate) as (port, received):
        record = place(tmp_path, port, ca)
    assert (record.hangup_reason, record.hangup_by) == ("failed", "remote")
    assert received == []
