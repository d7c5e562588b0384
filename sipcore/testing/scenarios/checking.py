"""What is wrong with the description of a scenario: every fault, with the number of its step."""

from __future__ import annotations

import re
from typing import Final

from sipcore.errors import Fault
from sipcore.testing.scenarios.scenario import COMMON, Scenario, variables_of
from sipcore.testing.scenarios.steps import Jump, Label, Pause, Receive, Send, Step

_METHOD: Final = re.compile(r"[A-Z]{3,20}")
_NAME: Final = re.compile(r"ua[cs](-[a-z0-9]+)+")


def faults_of(scenario: Scenario) -> list[Fault]:
    """All of them; none: it can be written."""
    if not _NAME.fullmatch(scenario.name):
        return [Fault(scenario.name, "must be named by its role and what it does: uac-hold, uas-busy")]
    if not scenario.steps:
        return [Fault(scenario.name, "has no steps")]
    known = {**COMMON, **scenario.variables}
    labels = {step.name for step in scenario.steps if isinstance(step, Label)}
    walk = _Walk(scenario.role == "uac")
    faults: list[Fault] = []
    for number, step in enumerate(scenario.steps, 1):
        wrong = [f"${{{name}}} is no variable of this scenario" for name in variables_of(step) if name not in known]
        wrong += [f"there is no label {label!r}" for label in _targets(step) if label not in labels]
        wrong += walk.faults(step)
        faults += [Fault(f"{scenario.name}: step {number}", text) for text in wrong]
    if walk.is_optional_pending:
        faults.append(Fault(f"{scenario.name}: step {len(scenario.steps)}", "an optional message must be followed by one that has to come"))
    return faults


def _targets(step: Step) -> list[str]:
    match step:
        case Jump(to):
            return [to]
        case Send(go=go) | Receive(go=go, on_timeout=""):
            return [go] if go else []
        case Receive(go=go, on_timeout=late):
            return [label for label in (go, late) if label]
        case _:
            return []


class _Walk:
    """Goes through the steps once, in their order, and knows what can have happened until then."""

    def __init__(self, is_caller: bool) -> None:
        self._is_caller = is_caller
        self._is_first = True
        self._sent: set[str] = set()
        self._received: set[str] = set()
        self._kept: set[str] = set()
        self._labels: set[str] = set()
        self._names: set[str] = set()
        self.is_optional_pending = False

    def faults(self, step: Step) -> list[str]:
        """Of the next step."""
        found = []
        if self.is_optional_pending and not isinstance(step, Receive):
            found.append("an optional message must be followed by one that has to come")
        match step:
            case Send():
                found += self._sending(step)
            case Receive():
                found += self._receiving(step)
            case Label(name) if name in self._labels:
                found.append(f"the label {name!r} is there twice")
            case Label(name):
                self._labels.add(name)
            case Pause(ms) if not (ms.isdigit() or "${" in ms or not ms):
                found.append(f"a pause of {ms!r} is no number of milliseconds")
            case _:
                pass
        self.is_optional_pending = isinstance(step, Receive) and step.optional
        return found

    def _sending(self, step: Send) -> list[str]:
        found = self._begins(is_sending=True) + _wrong_name(step.what, step.is_response)
        if step.is_response and not self._received:
            found.append(f"sends {step.what} before any request was received")
        if step.answers and step.answers not in self._kept:
            found.append(f"answers {step.answers!r}, and no request was kept under this name")
        if step.what in {"ACK", "CANCEL"} and "INVITE" not in self._sent:
            found.append(f"sends {step.what} without an INVITE")
        if not step.is_response and not self._is_caller and "INVITE" not in self._received:
            found.append(f"sends {step.what} outside of a dialog, and a uas opens none")
        if step.when and step.when not in self._names:
            found.append(f"asks for {step.when!r}, and no match before has this name")
        if step.sdp and step.body:
            found.append("has SDP and another body")
        if not step.is_response:
            self._sent.add(step.what)
        return found

    def _receiving(self, step: Receive) -> list[str]:
        found = self._begins(is_sending=False) + _wrong_name(step.what, step.is_response)
        if step.is_response and not self._sent:
            found.append(f"receives {step.what} without a request that it answers")
        if step.is_response and step.keep:
            found.append("keeps a response; only requests are answered later")
        if step.keep:
            self._kept.add(step.keep)
        self._names |= {match.name for match in step.matches if match.name}
        if not step.is_response:
            self._received.add(step.what)
        return found

    def _begins(self, *, is_sending: bool) -> list[str]:
        is_first, self._is_first = self._is_first, False
        if not is_first or is_sending == self._is_caller:
            return []
        return ["a uac sends before it receives" if self._is_caller else "a uas receives before it sends"]


def _wrong_name(what: str, is_response: bool) -> list[str]:
    if "${" in what:
        return []
    if is_response:
        return [] if what.isdigit() and 100 <= int(what) < 700 else [f"{what!r} is no method and no status code from 100 to 699"]
    return [] if _METHOD.fullmatch(what) else [f"{what!r} is no method"]
