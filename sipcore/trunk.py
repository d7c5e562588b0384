"""From an address to what stands in the INVITE: the trunk, request URI, From, account, headers, targets. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final
from urllib.parse import quote

from sipcore.addresses import Address, SipUri, name_addr
from sipcore.config import Config
from sipcore.config_trunks import PhoneConfig, TrunkConfig
from sipcore.engine import Account, Dial, Register
from sipcore.errors import Fault, InvalidRequest
from sipcore.inbound import ANONYMOUS, is_anonymous
from sipcore.rfc3263 import literal
from sipcore.wire import DoorPhone, DoorTrunk

_USER_MARKS: Final = "-_.!~*'()&=+$,"  # RFC 3261 §25.1: what the user part of a URI may have unescaped
DEFAULT_NAME: Final = "default"
"""The trunk that the plain keys `trunk`, `username`, ... make."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """One trunk, as calls use it."""

    config: TrunkConfig
    addresses: tuple[SipUri, ...]
    """With the transport in each that the trunk asks for."""

    @classmethod
    def of(cls, config: TrunkConfig) -> Trunk:
        """From its table of the configuration."""
        return cls(config, tuple(config.with_transport(uri) for uri in config.addresses))

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.config.name

    @property
    def domain(self) -> str:
        """Host part of From, where the caller id is a number."""
        return self.config.from_domain or self.addresses[0].host

    @property
    def account(self) -> Account:
        """Who we are towards it."""
        config = self.config
        return Account(config.username, config.password.get_secret_value(), config.realm or "*", srtp=config.srtp)

    @property
    def contact_user(self) -> str:
        """User part of our Contact at its registrar; empty: we are not registered."""
        config = self.config
        return (config.contact_user or _user(config.username)) if config.registers else ""

    def position(self, destination: SipUri) -> int | None:
        """Which of its addresses the destination is at, if one; another port or transport is another place."""
        place = replace(destination, user="")
        for index, (written, used) in enumerate(zip(self.config.addresses, self.addresses, strict=True)):
            if place in (written, used):
                return index
        return None

    def targets(self, first: int = 0) -> tuple[str, ...]:
        """For `Dial.targets`: address number `first`, then the others in their order."""
        ordered = (self.addresses[first], *self.addresses[:first], *self.addresses[first + 1 :])
        return tuple(uri.bare for uri in ordered)

    def number(self, target: str) -> str:
        """A number in E.164 form as the trunk wants it dialled."""
        return self.config.prepend + target[self.config.strip :]

    def register(self) -> Register:
        """The command that keeps its registration."""
        config = self.config
        registrar = config.with_transport(config.registrar) if config.registrar else self.addresses[0]
        return Register(
            trunk=config.name,
            registrar_uri=str(registrar),
            address_of_record=str(SipUri(config.from_domain or registrar.host, _user(config.username))),
            contact_user=self.contact_user,
            account=self.account,
            expires_s=config.expires_s,
            retry_s=config.retry_s,
            targets=(registrar.bare,) if config.registrar else self.targets(),
        )

    def names_to_resolve(self) -> tuple[SipUri, ...]:
        """Addresses that are names, where their calls are known by what these resolve to."""
        return tuple(uri for uri in self.addresses if not literal(uri.host)) if self.config.sources is None else ()

    def door(self, resolved: Mapping[str, Iterable[str]]) -> DoorTrunk:
        """What the front door knows of it; `resolved` has the addresses of each host name."""
        if self.config.sources is not None:
            networks = self.config.sources
        else:
            found = [[literal(uri.host)] if literal(uri.host) else resolved.get(uri.host, ()) for uri in self.addresses]
            networks = tuple(dict.fromkeys(address for addresses in found for address in addresses))
        # Calls from anywhere to our Contact are its own only when the configuration says so, not when its name does not resolve.
        is_known = bool(networks) or self.config.sources is not None
        return DoorTrunk(self.name, networks, self.contact_user if is_known else "", self.config.realm)


@dataclass(frozen=True, slots=True)
class Extras:
    """What an INVITE has beside what its trunk wants."""

    is_anonymous: bool = False
    """Who calls is hidden from the one who is called (RFC 3323), and told to trunks that are trusted with it (RFC 3325)."""
    headers: tuple[tuple[str, str], ...] = ()
    """They go before those of the trunk."""


class Trunks:
    """How calls leave this switch, and who may call it."""

    def __init__(self, trunks: Iterable[TrunkConfig], default_name: str, domain: str, caller_id: Address | None, username: str) -> None:
        self._trunks = {config.name: Trunk.of(config) for config in trunks}
        self._default = self._trunks.get(default_name)
        self._domain = domain
        self._caller_id = caller_id
        self._username = username
        self._prefixes = {prefix: trunk for trunk in self._trunks.values() for prefix in trunk.config.prefixes}

    @classmethod
    def of(cls, config: Config, local_host: str) -> Trunks:
        """From the configuration; `local_host` names us where there is no trunk."""
        trunks = (*_plain(config), *config.trunks)
        host = config.trunk.host if config.trunk else config.public_address or local_host
        return cls(trunks, _default_name(trunks), config.from_domain or host, config.caller_id, config.username)

    def __iter__(self) -> Iterator[Trunk]:
        return iter(self._trunks.values())

    def get(self, name: str) -> Trunk | None:
        """The trunk of this name."""
        return self._trunks.get(name)

    # ------------------------------------------------------------------------------------------------------ calls

    def choose(self, destination: Address, name: str = "", path: str = "") -> Trunk | None:
        """The trunk for a call: the one named, or for a number the one with the longest prefix that fits, or the default; for a `sip:`
        target the one it is an address of. `None`: straight to where the target says.

        Raises:
            InvalidRequest: no trunk has this name (the fault is at `path` + "trunk"), or none takes the number (at `path` + "destination").
        """
        if name:
            return self._named(name, f"{path}trunk")
        if destination.type == "sip":
            return next((trunk for trunk in self._trunks.values() if trunk.position(destination.uri) is not None), None)
        fitting = [prefix for prefix in self._prefixes if destination.target.startswith(prefix)]
        trunk = self._prefixes[max(fitting, key=len)] if fitting else self._default
        if trunk is None:
            raise InvalidRequest([Fault(f"{path}destination", f"no trunk takes {destination.target}, and there is no default one")])
        return trunk

    def _named(self, name: str, path: str) -> Trunk:
        trunk = self._trunks.get(name)
        if trunk is None:
            near = get_close_matches(name, self._trunks, 1)
            raise InvalidRequest([Fault(path, f"no trunk is named {name!r}" + (f"; did you mean {near[0]}?" if near else ""))])
        return trunk

    def source(self, trunk: Trunk | None) -> Address:
        """Who calls over this trunk, when nobody said."""
        caller_id = (trunk.config.caller_id if trunk else None) or self._caller_id
        if caller_id is not None:
            return caller_id
        username, domain = (trunk.config.username, trunk.domain) if trunk else (self._username, self._domain)
        return Address("sip", f"{_user(username) or 'sipcore'}@{domain}")

    def identity(self, source: Address, trunk: Trunk | None) -> SipUri:
        """The URI of the caller: of From and P-Asserted-Identity."""
        if source.type == "sip":
            return replace(source.uri, port=None, transport=None)
        return SipUri(host=trunk.domain if trunk else self._domain, user=source.target)

    def dial(self, call_id: str, group_id: str, source: Address, destination: Address, name: str = "", extras: Extras = Extras()) -> Dial:
        """The command that sends the INVITE. An anonymous source is asserted as whoever calls over the trunk when nobody says.

        Raises:
            InvalidRequest: as `choose`.
        """
        trunk = self.choose(destination, name)
        identity = self.identity(self.source(trunk) if extras.is_anonymous and is_anonymous(source) else source, trunk)
        if trunk is None:
            from_uri = _name_addr(identity, source.name, extras)
            return Dial(call_id, group_id, str(destination.uri), from_uri, Account(), _further({}, extras))
        is_number = destination.type == "tel"
        first = 0 if is_number else trunk.position(destination.uri) or 0
        uri = replace(trunk.addresses[0], user=trunk.number(destination.target)) if is_number else destination.uri
        return Dial(
            call_id=call_id,
            group_id=group_id,
            request_uri=str(uri),
            from_uri=_name_addr(_from(trunk, identity), source.name, extras),
            account=trunk.account,
            headers=_headers(trunk, identity, extras),
            codecs=trunk.config.codecs,
            targets=trunk.targets(first),
        )

    # --------------------------------------------------------------------------------------------- for the engine

    def registrations(self) -> tuple[Register, ...]:
        """The registrations to keep while the switch is open."""
        return tuple(trunk.register() for trunk in self._trunks.values() if trunk.config.registers)

    def names_to_resolve(self) -> tuple[SipUri, ...]:
        """Names whose addresses `door_trunks` asks for."""
        return tuple(dict.fromkeys(uri for trunk in self._trunks.values() for uri in trunk.names_to_resolve()))

    def door_trunks(self, resolved: Mapping[str, Iterable[str]]) -> tuple[DoorTrunk, ...]:
        """What the front door knows of the trunks; `resolved` has the addresses of each host name."""
        return tuple(trunk.door(resolved) for trunk in self._trunks.values())


def door_phones(config: Config) -> tuple[DoorPhone, ...]:
    """What the front door knows of the phones: hashes in place of passwords."""
    return tuple(_door_phone(phone, phone.realm or config.from_domain or "sipcore") for phone in config.phones)


def _door_phone(phone: PhoneConfig, realm: str) -> DoorPhone:
    secret = f"{phone.username}:{realm}:{phone.password.get_secret_value()}".encode()  # RFC 7616 §3.4.2
    md5 = hashlib.md5(secret, usedforsecurity=False).hexdigest()  # what phones speak
    return DoorPhone(phone.username, realm, md5, hashlib.sha256(secret).hexdigest(), phone.algorithms)


def _plain(config: Config) -> tuple[TrunkConfig, ...]:
    """The trunk that the plain keys of the configuration make."""
    if config.trunk is None:
        return ()
    return (
        TrunkConfig(
            name=DEFAULT_NAME,
            addresses=(config.trunk,),
            username=config.username,
            password=config.password,
            from_domain=config.from_domain,
            p_asserted_identity=config.p_asserted_identity,
        ),
    )


def _default_name(trunks: tuple[TrunkConfig, ...]) -> str:
    """The trunk that says so, else the one of the plain keys, else the first that has no prefixes."""
    said = [trunk.name for trunk in trunks if trunk.default]
    plain = [trunk.name for trunk in trunks if trunk.name == DEFAULT_NAME]
    return next(iter([*said, *plain, *(trunk.name for trunk in trunks if not trunk.prefixes)]), "")


def _user(username: str) -> str:
    return quote(username, safe=_USER_MARKS)


def _from(trunk: Trunk, identity: SipUri) -> SipUri:
    return SipUri(trunk.domain, trunk.config.from_user) if trunk.config.from_user else identity


def _name_addr(uri: SipUri, name: str, extras: Extras) -> str:
    return name_addr(ANONYMOUS.uri, "Anonymous") if extras.is_anonymous else name_addr(uri, name)


def _headers(trunk: Trunk, identity: SipUri, extras: Extras) -> tuple[tuple[str, str], ...]:
    asserted = (("P-Asserted-Identity", f"<{identity}>"),) if trunk.config.p_asserted_identity else ()
    return (*asserted, *_further(trunk.config.headers, extras))


def _further(usual: Mapping[str, str], extras: Extras) -> tuple[tuple[str, str], ...]:
    """Each name once, the call's own before the trunk's."""
    privacy = (("Privacy", "id"),) if extras.is_anonymous else ()
    named = {name.lower(): (name, value) for name, value in (*usual.items(), *privacy, *extras.headers)}
    return tuple(named.values())
