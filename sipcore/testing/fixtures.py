"""What the fixtures of the plugin are made of; imported when the first of them is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from sipcore import Switch
from sipcore.events import CallCreated, CallEvent
from sipcore.testing import report
from sipcore.testing.evidence import write_phone_pcap, write_sipp_pcap
from sipcore.testing.phone import Phone
from sipcore.testing.sipp import Sipp

Sections = list[tuple[str, report.Content]]


@dataclass(frozen=True, slots=True)
class Trunk:
    """A far end that stands for a provider."""

    phone: Phone
    """Where every number rings."""

    @property
    def uri(self) -> str:
        """`sip:host:port`, as `trunk` of a switch."""
        return f"sip:{self.phone.host}:{self.phone.sip_port}"

    @property
    def settings(self) -> dict[str, Any]:
        """Of a switch that has this trunk."""
        return {"trunk": self.uri, "caller_id": "tel:+441632960000"}


@contextmanager
def opened_switch(item: pytest.Item, settings: Mapping[str, Any]) -> Iterator[Switch]:
    """A switch whose calls are in the report when the test fails while it is open."""
    with Switch(**settings) as switch:
        created: list[str] = []

        def keep(event: CallEvent) -> None:
            if isinstance(event, CallCreated):
                created.append(event.call_id)

        with contextlib.suppress(Exception):  # a test may have closed it
            switch.listen(keep)
        is_open = [True]
        report.on_failure(item, lambda: _switch_report(switch, created) if is_open[0] else [])
        try:
            yield switch
        except BaseException:
            for title, content in _switch_report(switch, created):  # the report is made when the switch is closed
                report.attach(item, title, content)
            raise
        finally:
            is_open[0] = False


def opened_phones(item: pytest.Item, stack: ExitStack, folder: Path, names: tuple[Any, ...], options: Mapping[str, Any]) -> list[Phone]:
    """Telephones that are closed with the stack; what they heard is saved in the folder when the test fails."""
    if len(names) == 1 and isinstance(names[0], int):
        names = tuple(f"phone{number}" for number in range(1, names[0] + 1))
    opened = [stack.enter_context(Phone(name, **options)) for name in names]
    for phone in opened:
        report.on_failure(item, lambda phone=phone: _phone_report(phone, folder))  # type: ignore[misc]
    return opened


def sipp_report(driver: Sipp) -> Sections:
    """Of each SIPp of the test: how it went, and where its logs are."""
    driver.close()  # those that still run will not be asked any more
    sections: Sections = []
    for process in driver.runs:
        if process.log_dir.is_dir():
            pcap = process.log_dir / "sip.pcap"
            write_sipp_pcap(process, pcap)
            sections.append((f"SIPp {process.name}", f"{process.stop()!r}\nlogs: {process.log_dir}\npcap: {pcap}"))
    return sections


def _switch_report(switch: Switch, call_ids: list[str]) -> Sections:
    """Of each call: its record in a line, and its SIP messages."""
    return [("calls", "\n".join(_told(switch, call_id) for call_id in call_ids))] if call_ids else []


def _told(switch: Switch, call_id: str) -> str:
    record = switch.calls.get(call_id)
    how = f"{record.hangup_by} {record.hangup_reason} {record.sip_code} {record.sip_phrase}" if record.is_over else ""
    return f"{call_id} {record.direction} to {record.destination.target}: {record.status} {how}".rstrip()


def _phone_report(phone: Phone, folder: Path) -> Sections:
    """Of each call that reached the phone: its SIP messages, first lines only; and the file with all of them, and with the audio."""
    lines: list[str] = []
    for number, call in enumerate(phone.calls, 1):
        other = f"to {call.to_uri}" if call.from_uri == phone.uri else f"from {call.from_uri}"
        lines.append(f"call {number} {other}: {call.state.value}")
        begin_s = call.messages[0].at_s if call.messages else 0.0
        lines += [f"  {told.at_s - begin_s:8.3f} s {told.direction:3} {told.text.splitlines()[0]}" for told in call.messages]
    if not lines:
        return []
    pcap = folder / f"phone-{quote(phone.name, safe='')}-{phone.sip_port}.pcap"
    write_phone_pcap(phone, pcap)
    return [(f"phone {phone.name}", "\n".join([*lines, f"pcap: {pcap}"]))]
