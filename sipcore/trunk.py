"""From an address to what stands in the INVITE: request URI, From, account, headers. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sipcore.addresses import DEFAULT_PORTS, Address, SipUri, name_addr
from sipcore.config import Config
from sipcore.engine import Account, Dial


@dataclass(frozen=True, slots=True)
class NextHop:
    """The host that has to be resolved before the INVITE can leave; `None` in `route_for` when it is numeric."""

    host: str
    port: int
    transport: str

    def route_uri(self, ip_address: str) -> str:
        """A loose route to the resolved address (RFC 3261 §16.12.1.1)."""
        return str(SipUri(host=ip_address, port=self.port)) + f";transport={self.transport};lr"


@dataclass(frozen=True, slots=True)
class Outbound:
    """How calls leave this switch."""

    trunk: SipUri | None
    from_domain: str
    username: str
    password: str
    has_asserted_identity: bool

    @classmethod
    def of(cls, config: Config, local_host: str) -> Outbound:
        """From the configuration; `local_host` names us where there is no trunk."""
        domain = config.from_domain or (config.trunk.host if config.trunk else config.public_address or local_host)
        return cls(config.trunk, domain, config.username, config.password.get_secret_value(), config.p_asserted_identity)

    def request_uri(self, destination: Address) -> SipUri:
        """`tel:` targets become `sip:+E164@trunk`, `sip:` targets are dialled as they are."""
        if destination.type == "sip":
            return destination.uri
        assert self.trunk is not None, "create refuses tel: targets without a trunk"
        return replace(self.trunk, user=destination.target)

    def default_source(self) -> Address:
        """Who calls, when nobody said."""
        return Address("sip", f"{self.username or 'sipcore'}@{self.from_domain}")

    def identity_uri(self, source: Address) -> SipUri:
        """The URI of From and P-Asserted-Identity."""
        if source.type == "sip":
            return replace(source.uri, port=None, transport=None)
        return SipUri(host=self.from_domain, user=source.target)

    def next_hop(self, destination: Address) -> NextHop | None:
        """The host to resolve, `None` when the request URI has a numeric host."""
        uri = self.request_uri(destination)
        if uri.is_numeric_host:
            return None
        transport = uri.transport or "udp"
        return NextHop(uri.host, uri.port or DEFAULT_PORTS[transport], transport)

    def dial(self, call_id: str, group_id: str, source: Address, destination: Address, route_uri: str | None) -> Dial:
        """The command that sends the INVITE."""
        identity = self.identity_uri(source)
        uses_trunk = destination.type == "tel" or (self.trunk is not None and destination.uri.host == self.trunk.host)
        account = Account(self.username, self.password, route_uri=route_uri) if uses_trunk else Account(route_uri=route_uri)
        headers = (("P-Asserted-Identity", f"<{identity}>"),) if self.has_asserted_identity and uses_trunk else ()
        return Dial(
            call_id=call_id,
            group_id=group_id,
            request_uri=str(self.request_uri(destination)),
            from_uri=name_addr(identity, source.name),
            account=account,
            headers=headers,
        )
