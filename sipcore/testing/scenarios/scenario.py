"""A scenario: one party of a SIP test as steps, with its variables and defaults."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Final, Literal

from sipcore.errors import Fault, InvalidRequest
from sipcore.testing.scenarios.steps import Receive, Send, Step

Role = Literal["uac", "uas"]

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")
_NOT_IN_TEXT: Final = re.compile(r"[\x00-\x1f\x7f]|\]\]>")


@dataclass(frozen=True, slots=True)
class Variable:
    """What `${name}` in the steps stands for when nobody says otherwise. A value may be one of SIPp's `[keywords]`."""

    default: str
    summary: str


COMMON: Final[Mapping[str, Variable]] = {
    "pause_ms": Variable("1000", "length of each pause; empty: what `sipp -d` says"),
    "rtp_port": Variable("[media_port]", "port of our RTP in the SDP: that of `sipp -mp` by default"),
    "payload": Variable("0", "RTP payload type of the codec"),
    "codec": Variable("PCMU/8000", "the codec, as in a=rtpmap"),
    "dtmf_payload": Variable("101", "RTP payload type of telephone-event"),
    "user": Variable("[service]", "who is called: what `sipp -s` says by default"),
    "from_user": Variable("sipp", "who calls"),
    "transport": Variable("[transport]", "in Via and Contact"),
    "username": Variable("", "of the digest account; empty: what `sipp -au` says"),
    "password": Variable("", "of the digest account; empty: what `sipp -ap` says"),
    "extra": Variable("", "a further header line of the INVITE, or of the answer to it"),
}
"""Those that every scenario may use."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One party: `uac-...` sends first, `uas-...` waits for a request.

    Args:
        name: `uac-hold`; its first part is the role.
        summary: One line: what it does, what it stands for.
        steps: What it does.
        variables: Further variables, and other defaults for those of `COMMON`.
    """

    name: str
    summary: str
    steps: tuple[Step, ...]
    variables: Mapping[str, Variable] = field(default_factory=dict)

    @property
    def role(self) -> Role:
        """`uac` calls, `uas` is called."""
        return "uac" if self.name.startswith("uac-") else "uas"

    @property
    def used(self) -> dict[str, Variable]:
        """Its variables by name, in the order of their definition."""
        names = set(_VARIABLE.findall(repr(self.steps))) | _implied(self.steps)
        known = {**COMMON, **self.variables}
        return {name: variable for name, variable in known.items() if name in names}

    def values(self, given: Mapping[str, object]) -> dict[str, str]:
        """What each variable stands for, with these given.

        Raises:
            InvalidRequest: there is no such variable, or a value cannot stand in a message; names every fault.
        """
        used = self.used
        faults = [self._unknown(name) for name in given if name not in used]
        faults += [
            Fault(f"{self.name}: {name}", "cannot stand in a message: it has a control character or ]]>")
            for name, value in given.items()
            if _NOT_IN_TEXT.search(str(value))
        ]
        if faults:
            raise InvalidRequest(faults)
        return {name: str(given.get(name, variable.default)) for name, variable in used.items()}

    def _unknown(self, name: str) -> Fault:
        near = get_close_matches(name, self.used, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(self.used) or 'none'}"
        return Fault(f"{self.name}: {name}", f"is no variable of this scenario; {hint}")


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with values for its variables.

    Raises:
        KeyError: one has no value.
    """
    return _VARIABLE.sub(lambda found: values[found[1]], text)


def variables_of(step: Step) -> Iterator[str]:
    """The names of the variables in the texts of a step."""
    for one in fields(step):
        value: Any = getattr(step, one.name)
        yield from _VARIABLE.findall(value if isinstance(value, str) else repr(value))


def _implied(steps: tuple[Step, ...]) -> set[str]:
    """Variables that the messages have beside those in the steps."""
    sent = [step for step in steps if isinstance(step, Send)]
    names = {"transport"} if sent else set()
    if any(step.sdp for step in sent):
        names |= {"rtp_port", "payload", "codec", "dtmf_payload"}
    if any(step.has_credentials for step in sent):
        names |= {"username", "password"}
    if sent and not isinstance(steps[0], Receive):
        names |= {"user", "from_user"}
    if any(step.what == "INVITE" for step in steps if isinstance(step, Send | Receive)):
        names.add("extra")
    return names
