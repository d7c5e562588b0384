"""From an address to what stands in the INVITE: request URI, From, account, headers. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote

from sipcore.addresses import Address, SipUri, name_addr
from sipcore.config import Config
from sipcore.engine import Account, Dial

_USER_MARKS = "-_.!~*'()&=+$,"  # RFC 3261 §25.1: what the user part of a URI may have unescaped


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
        return Address("sip", f"{quote(self.username, safe=_USER_MARKS) or 'sipcore'}@{self.from_domain}")

    def identity_uri(self, source: Address) -> SipUri:
        """The URI of From and P-Asserted-Identity."""
        if source.type == "sip":
            return replace(source.uri, port=None, transport=None)
        return SipUri(host=self.from_domain, user=source.target)

    def dial(self, call_id: str, group_id: str, source: Address, destination: Address) -> Dial:
        """The command that sends the INVITE."""
        identity = self.identity_uri(source)
        uses_trunk = destination.type == "tel" or replace(destination.uri, user="") == self.trunk
        account = Account(self.username, self.password) if uses_trunk else Account()
        headers = (("P-Asserted-Identity", f"<{identity}>"),) if self.has_asserted_identity and uses_trunk else ()
        return Dial(
            call_id=call_id,
            group_id=group_id,
            request_uri=str(self.request_uri(destination)),
            from_uri=name_addr(identity, source.name),
            account=account,
            headers=headers,
        )
