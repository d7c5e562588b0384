"""A scenario as the XML that SIPp reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from sipcore.errors import Fault, InvalidRequest
from sipcore.testing.scenarios.checking import faults_of
from sipcore.testing.scenarios.messages import Dialog
from sipcore.testing.scenarios.scenario import Scenario, filled
from sipcore.testing.scenarios.steps import Jump, Label, Match, Pause, PlayDigits, PlayFile, Receive, Send, Step

RETRANSMIT_MS: Final = 500
"""T1 (RFC 3261 §17.1.1.1)."""
_KEPT_HEADERS: Final = ("Via", "From", "To", "CSeq")


def make_xml(scenario: Scenario, given: Mapping[str, object] | None = None) -> str:
    """The file for `sipp -sf`, with these values for variables.

    Raises:
        InvalidRequest: the description is faulty, or a value is; names every fault.
    """
    if faults := faults_of(scenario):
        raise InvalidRequest(faults)
    values = scenario.values(given or {})
    if faults := list(_unfit(scenario, values)):
        raise InvalidRequest(faults)
    return _Writer(scenario, values).text()


def _unfit(scenario: Scenario, values: Mapping[str, str]) -> Iterator[Fault]:
    """Values that cannot stand where the steps have them."""
    for step in scenario.steps:
        match step:
            case Send(what=what) | Receive(what=what) if "${" in what:
                if not (filled(what, values).isdigit() and 100 <= int(filled(what, values)) < 700):
                    yield Fault(f"{scenario.name}: {what}", f"{filled(what, values)!r} is no status code from 100 to 699")
            case Pause(ms) if filled(ms, values) and not filled(ms, values).isdigit():
                yield Fault(f"{scenario.name}: {ms}", f"{filled(ms, values)!r} is no number of milliseconds")
            case _:
                pass


class _Writer:
    def __init__(self, scenario: Scenario, values: Mapping[str, str]) -> None:
        self.scenario = scenario
        account = "".join(f" {name}={values[name]}" for name in ("username", "password") if values.get(name))
        self.values = {**values, "account": account}
        self.settings = values
        labels = [step.name for step in scenario.steps if isinstance(step, Label)]
        self.labels = {name: str(number) for number, name in enumerate(labels, 1)}
        self.opens_requests = scenario.role == "uas" and any(isinstance(step, Send) and not step.is_response for step in scenario.steps)
        self.assigned: dict[str, None] = {}
        self.is_timed = False

    def text(self) -> str:
        scenario, dialog = self.scenario, Dialog(self.scenario.role == "uac")
        parts = [self._step(step, dialog) for step in scenario.steps]
        body = "\n\n".join(part for part in parts if part)
        unused = [name for name in self.assigned if f"[${name}]" not in body and f'test="{name}"' not in body]
        reference = f'\n\n  <Reference variables="{",".join(unused)}"/>' if unused else ""
        settings = "".join(f"\n     {name} = {value}" for name, value in self.settings.items())
        comment = f"{scenario.summary}{settings}".replace("--", "- -")
        head = f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- {comment} -->\n<scenario name={quoteattr(scenario.name)}>\n'
        return f"{head}{body}{reference}\n</scenario>\n"

    def _step(self, step: Step, dialog: Dialog) -> str:
        match step:
            case Send():
                return self._send(step, dialog)
            case Receive():
                return self._receive(step, dialog)
            case Pause(ms):
                length = filled(ms, self.values)
                return f"  <pause milliseconds={quoteattr(length)}/>" if length else "  <pause/>"
            case Label(name):
                return f'  <label id="{self.labels[name]}"/>'
            case Jump(to):
                return f'  <nop next="{self.labels[to]}"/>'
            case PlayDigits(digits):
                return self._nop(f"play_dtmf={quoteattr(filled(digits, self.values))}")
            case PlayFile(path, times):
                stream = f"{filled(path, self.values)},{filled(times, self.values)},{filled('${payload}', self.values)}"
                return self._nop(f"rtp_stream={quoteattr(stream)}")

    @staticmethod
    def _nop(what: str) -> str:
        return f"  <nop>\n    <action>\n      <exec {what}/>\n    </action>\n  </nop>"

    def _send(self, step: Send, dialog: Dialog) -> str:
        step = replace(step, what=filled(step.what, self.values))
        head = dialog.response(step) if step.is_response else dialog.request(step)
        kind, body = dialog.body(step)
        head += [f"Content-Type: {kind}", "Content-Length: [len]"] if body else ["Content-Length: 0"]
        lines = [line for line in (filled(line, self.values) for line in head) if line]
        lines += ["", *filled(body, self.values).split("\n")] if body else []
        message = "\n".join(f"      {line}".rstrip() for line in lines)
        return f"  <send{self._send_attributes(step, dialog)}>\n    <![CDATA[\n\n{message}\n\n    ]]>\n  </send>"

    def _send_attributes(self, step: Send, dialog: Dialog) -> str:
        method = dialog.kept[step.answers][0] if step.answers else dialog.method
        is_confirmed = method == "INVITE" and not step.what.startswith("1") if step.is_response else step.what != "ACK"
        attributes = f' retrans="{RETRANSMIT_MS}"' if is_confirmed and step.is_repeated else ""
        if not step.is_response and dialog.cseq == 1 and dialog.is_caller and step.what == dialog_opener(self.scenario.steps):
            attributes += ' start_rtd="1"'
        return attributes + (f' test="{step.when}"' if step.when else "") + self._next(step.go)

    def _next(self, label: str, attribute: str = "next") -> str:
        return f' {attribute}="{self.labels[label]}"' if label else ""

    def _receive(self, step: Receive, dialog: Dialog) -> str:
        what = filled(step.what, self.values)
        had_invite = dialog.method == "INVITE"
        dialog.heard(step)
        attributes = f'{"response" if step.is_response else "request"}="{escape(what)}"'
        opens = dialog.is_open and dialog.awaits_ack and not step.optional if step.is_response else what == "INVITE" and not had_invite
        attributes += ' rrs="true"' if opens else ""
        attributes += ' auth="true"' if step.is_challenge else ""
        attributes += ' optional="true"' if step.optional else ""
        is_final = step.is_response and not what.startswith("1") and not step.optional
        if is_final and not step.is_challenge and dialog.is_caller and not self.is_timed:
            attributes, self.is_timed = attributes + ' rtd="1"', True
        attributes += f" timeout={quoteattr(filled(step.timeout_ms, self.values))}" if step.timeout_ms else ""
        attributes += self._next(step.on_timeout, "ontimeout") + self._next(step.go)
        actions = self._actions(step, is_opener=opens and not step.is_response)
        inside = "".join(f"\n      {action}" for action in actions)
        return f"  <recv {attributes}>\n    <action>{inside}\n    </action>\n  </recv>" if actions else f"  <recv {attributes}/>"

    def _actions(self, step: Receive, *, is_opener: bool) -> Sequence[str]:
        kept = [Match(header, ".*", f"{step.keep}_{header.lower()}") for header in _KEPT_HEADERS] if step.keep else []
        if is_opener and self.opens_requests:
            kept += [Match("From", ".*", "caller"), Match("To", ".*", "callee")]
        checks = [self._ereg(match, is_checked=True, name=match.name) for match in kept]
        return checks + [self._ereg(match, is_checked=not match.name, name=match.name) for match in step.matches]

    def _ereg(self, match: Match, *, is_checked: bool, name: str) -> str:
        name = name or f"match{len(self.assigned) + 1}"
        self.assigned[name] = None
        where = f'search_in="hdr" header={quoteattr(match.header + ":")}' if match.header else 'search_in="msg"'
        check = ' check_it="true"' if is_checked else ""
        return f'<ereg regexp={quoteattr(filled(match.pattern, self.values))} {where}{check} assign_to="{name}"/>'


def dialog_opener(steps: Sequence[Step]) -> str:
    """The method of the request that a caller begins with; empty: it does not begin with one."""
    first = steps[0]
    return first.what if isinstance(first, Send) else ""
