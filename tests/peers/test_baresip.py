"""A phone that others wrote: codecs, SRTP, hold, transfer, keys, transports, digest. The other side of each call is a phone of our own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from media.measure import dominant_hz
from sipcore import Answer, CallRecord, Connect, Switch
from sipcore.events import CallEvent, CallHeld, CallMediaStarted, CallResumed, DigitReceived, TransferRequested
from sipcore.record import NIL_ID
from sipcore.testing.phone import Phone

from .baresip import Baresip, BaresipCall
from .hearing import PACKETS, assert_ends_with_nothing_but, assert_told_apart, talk

BARESIP_HZ, EAR_HZ, OTHER_HZ = 700.0, 1100.0, 1500.0
ACCOUNT = "<sip:phone@127.0.0.1>;regint=0;answermode=auto"
OpenEar = Callable[[float], Phone]
LOW_HZ, HIGH_HZ = 5000.0, 6000.0
"""What no narrowband codec carries."""


class Heard:
    """Every event of a switch, to be waited for."""

    def __init__(self, switch: Switch) -> None:
        self.events: list[CallEvent] = []
        self._changed = threading.Condition()
        switch.listen(self._take)

    def _take(self, event: CallEvent) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def wait_for(self, kind: type[Any], count: int = 1) -> list[Any]:
        """The events of this kind, when there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.of(kind)) >= count, 10), self.events
            return self.of(kind)


def peer(phone: Baresip, **settings: Any) -> dict[str, Any]:
    """A trunk that is this phone."""
    return {"name": "peer", "addresses": [f"127.0.0.1:{phone.port}"]} | settings


def sdp_offered(switch: Switch, call_id: str) -> str:
    """The first offer of a call, as it went over the wire."""
    return next(message.text for message in switch.calls.trace(call_id) if message.text.startswith("INVITE")).partition("\r\n\r\n")[2]


def placed(switch: Switch) -> list[CallRecord]:
    """Of its calls: not of our legs to the ear."""
    return [record for record in switch.calls.list().result if record.master_call_id == NIL_ID]


def transports(switch: Switch) -> set[str]:
    """What its calls went over."""
    return {message.transport for record in placed(switch) for message in switch.calls.trace(record.id)}


def converse_both_ways(switch: Switch, phone: Baresip, open_ear: OpenEar, *, uri: str = "", ours: str = "") -> None:
    """We call it, then it calls us; each time both hear the other."""
    ear = open_ear(EAR_HZ)
    call = switch.calls.create(destination=uri or phone.uri, actions=[Connect([ear.uri])])
    phones = phone.next_call()
    heard = talk(ear)
    call.hangup()
    phones.wait_closed()
    assert_told_apart(phone, heard, baresip_hz=BARESIP_HZ, ear_hz=EAR_HZ)
    assert call.wait(5).hangup_reason == "normal"
    converse_in(switch, phone, ear, ours=ours)


def converse_in(switch: Switch, phone: Baresip, ear: Phone, *, ours: str = "") -> None:
    """It calls us; both hear the other."""
    switch.on_call(actions=[Connect([ear.uri])])
    phones = phone.dial(ours or f"sip:switch@{switch.sip_address}")
    heard = talk(ear)
    phone.command("hangup")
    phones.wait_closed()
    assert_told_apart(phone, heard, baresip_hz=BARESIP_HZ, ear_hz=EAR_HZ)


# ------------------------------------------------------------------------------------------------------- codecs


@pytest.mark.parametrize(("codec", "name"), [("PCMU", "PCMU/8000"), ("PCMA", "PCMA/8000"), ("GSM", "GSM/8000")])
def test_codec(open_switch, open_baresip, open_ear, codec, name):
    phone = open_baresip("phone", says_hz=BARESIP_HZ, codecs=("g711", "gsm"))
    with open_switch(trunks=[peer(phone, codecs=[codec])]) as switch:
        heard = Heard(switch)
        converse_both_ways(switch, phone, open_ear)
        phones = {record.id for record in placed(switch)}
        assert {event.codec for event in heard.of(CallMediaStarted) if event.call_id in phones} == {name}
    assert f"Set audio encoder: {codec} 8000Hz" in phone.log


def test_wideband_both_ways(open_switch, open_baresip):
    """Two phones with G722, connected: each hears what is above 4 kHz of the other."""
    low, high = (open_baresip(name, says_hz=hz, rate_hz=16000, codecs=("g722",)) for name, hz in (("low", LOW_HZ), ("high", HIGH_HZ)))
    trunk = {"name": "phones", "addresses": [f"127.0.0.1:{high.port}"], "codecs": ["G722"]}
    with open_switch(trunks=[trunk]) as switch:
        connect_and_hear(switch, low, high)


def test_two_phones_connected(open_switch, open_baresip):
    caller, callee = (open_baresip(name, says_hz=hz) for name, hz in (("caller", BARESIP_HZ), ("callee", EAR_HZ)))
    with open_switch() as switch:
        connect_and_hear(switch, caller, callee, BARESIP_HZ, EAR_HZ)


def connect_and_hear(switch: Switch, caller: Baresip, callee: Baresip, caller_hz: float = LOW_HZ, callee_hz: float = HIGH_HZ) -> None:
    """The caller calls us and is connected to the callee; both have heard the other."""
    switch.on_call(actions=[Connect([callee.uri])])
    calls = [caller.dial(f"sip:switch@{switch.sip_address}"), callee.next_call()]
    for call in calls:
        wait_audio(call)
    caller.command("hangup")
    for call in calls:
        call.wait_closed()
    assert_ends_with_nothing_but(caller.heard(), callee_hz)
    assert_ends_with_nothing_but(callee.heard(), caller_hz)


def wait_audio(call: BaresipCall) -> None:
    """Until half a second of audio has come since the answer."""
    call.wait_for("CALL_ESTABLISHED")
    bytes_before = call.phone.recorded_bytes
    call.phone.wait_until(lambda: call.phone.recorded_bytes > bytes_before + call.phone.rate_hz or None, "audio", every_s=0.02)


# --------------------------------------------------------------------------------------------------------- SRTP


@pytest.mark.parametrize("srtp", ["optional", "required"])
def test_srtp_both_ways(open_switch, open_baresip, open_ear, srtp):
    phone = open_baresip("phone", says_hz=BARESIP_HZ, srtp=True, account=f"{ACCOUNT};mediaenc=srtp-mand")
    with open_switch(trunks=[peer(phone, srtp=srtp)]) as switch:
        if srtp == "required":
            converse_both_ways(switch, phone, open_ear)
        else:
            converse_in(switch, phone, open_ear(EAR_HZ))
        for record in placed(switch):
            offer = sdp_offered(switch, record.id)
            assert "m=audio " in offer
            assert " RTP/SAVP " in offer
            assert "a=crypto:" in offer


def test_srtp_optional_without_it(open_switch, open_baresip, open_ear):
    """Our offer of RTP/AVP with keys is taken by a phone that knows none."""
    phone = open_baresip("phone", says_hz=BARESIP_HZ)
    with open_switch(trunks=[peer(phone, srtp="optional")]) as switch:
        converse_both_ways(switch, phone, open_ear)


def test_srtp_required_but_the_phone_has_none(open_switch, open_baresip):
    phone = open_baresip("phone", says_hz=BARESIP_HZ)
    with open_switch(trunks=[peer(phone, srtp="required")]) as switch:
        record = switch.calls.create(destination=phone.uri).wait(10)
        assert (record.hangup_by, record.sip_code, record.tm_progressing) == ("remote", 488, None)

        switch.on_call(actions=[Answer()])
        assert phone.dial(f"sip:switch@{switch.sip_address}").wait_closed().startswith("488")


def test_phone_requires_srtp_but_we_have_none(open_switch, open_baresip):
    phone = open_baresip("phone", says_hz=BARESIP_HZ, srtp=True, account=f"{ACCOUNT};mediaenc=srtp-mand")
    with open_switch(trunks=[peer(phone)]) as switch:
        record = switch.calls.create(destination=phone.uri).wait(10)
        assert (record.hangup_by, record.sip_code, record.tm_progressing) == ("remote", 488, None)

        switch.on_call(actions=[Answer()])
        assert phone.dial(f"sip:switch@{switch.sip_address}").wait_closed().startswith("488")


# ------------------------------------------------------------------------------------------------ during a call


def test_hold_and_resume(open_switch, open_baresip, open_ear):
    phone, ear = open_baresip("phone", says_hz=BARESIP_HZ), open_ear(EAR_HZ)
    with open_switch() as switch:
        heard = Heard(switch)
        switch.on_call(actions=[Connect([ear.uri])])
        phones = phone.dial(f"sip:switch@{switch.sip_address}")
        talk(ear)
        phone.command("hold")
        heard.wait_for(CallHeld)
        phone.command("resume")
        heard.wait_for(CallResumed)
        ear.last_call.wait_packets(len(ear.last_call.packets) + 2 * PACKETS, 5)
        phone.command("hangup")
        phones.wait_closed()
        ear.last_call.wait_ended(5)
        ear.last_call.assert_tone(BARESIP_HZ)
        before_hold = phone.heard().stat().st_size // 320  # it records until then only
        assert phone.received_packets > before_hold + PACKETS
        assert [type(event) for event in heard.events if isinstance(event, CallHeld | CallResumed)] == [CallHeld, CallResumed]


def test_keys(open_switch, open_baresip, open_ear):
    phone, ear = open_baresip("phone", says_hz=BARESIP_HZ), open_ear(EAR_HZ)
    with open_switch() as switch:
        heard = Heard(switch)
        switch.on_call(actions=[Connect([ear.uri])])
        phones = phone.dial(f"sip:switch@{switch.sip_address}")
        talk(ear)
        for count, key in enumerate("5#", start=1):
            phone.command("sndcode", key)
            heard.wait_for(DigitReceived, count)
        phone.command("hangup")
        phones.wait_closed()
        assert [event.digit for event in heard.of(DigitReceived)] == ["5", "#"]


def test_transfer_is_refused_by_default(open_switch, open_baresip, open_ear):
    phone, ear = open_baresip("phone", says_hz=BARESIP_HZ), open_ear(EAR_HZ)
    with open_switch(trunks=[peer(phone)]) as switch:
        heard = Heard(switch)
        switch.on_call(actions=[Connect([ear.uri])])
        phones = phone.dial(f"sip:switch@{switch.sip_address}")
        talk(ear)
        phone.command("transfer", ear.uri)
        assert phones.wait_for("TRANSFER_FAILED")["param"] == "603 Decline"
        ear.last_call.wait_ended(5)  # baresip hangs up then
        assert heard.of(TransferRequested) == []  # the worker refuses by itself while no trunk allows any
        assert len(ear.calls) == 1


def test_transfer(open_switch, open_baresip, open_ear):
    """Blind: who the phone talks to is connected to somebody else, and the phone is released."""
    phone, ear, other = open_baresip("phone", says_hz=BARESIP_HZ), open_ear(EAR_HZ), open_baresip("other", says_hz=OTHER_HZ)
    with open_switch(trunks=[peer(phone, allows_refer=True)]) as switch:
        heard = Heard(switch)
        switch.on_call(actions=[Connect([ear.uri])])
        phones = phone.dial(f"sip:switch@{switch.sip_address}")
        talk(ear)
        phone.command("transfer", other.uri)
        phones.wait_closed()
        others = other.next_call()
        wait_audio(others)
        ear.last_call.hang_up()
        others.wait_closed()
        assert [(event.target, event.is_accepted) for event in heard.of(TransferRequested)] == [(other.uri, True)]
        assert_ends_with_nothing_but(other.heard(), EAR_HZ)
        assert dominant_hz(ear.last_call.heard()[-2000:], 8000) == pytest.approx(OTHER_HZ, abs=10)


# --------------------------------------------------------------------------------------- transports and accounts


def test_over_tcp(open_switch, open_baresip, open_ear):
    phone = open_baresip("phone", says_hz=BARESIP_HZ)
    with open_switch() as switch:
        tcp = ";transport=tcp"
        converse_both_ways(switch, phone, open_ear, uri=phone.uri + tcp, ours=f"sip:switch@{switch.sip_address}{tcp}")
        assert transports(switch) == {"tcp"}


def test_over_tls(tmp_path, open_switch, open_baresip, open_ear):
    authority = trustme.CA()
    ca_file, our_file, their_file = (str(tmp_path / name) for name in ("ca.pem", "our.pem", "their.pem"))
    authority.cert_pem.write_to_path(ca_file)
    for file in (our_file, their_file):
        authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(file)
    phone = open_baresip("phone", says_hz=BARESIP_HZ, ca_file=ca_file, certificate_file=their_file)
    with open_switch(tls_address="127.0.0.1:0", tls_certificate=our_file, tls_ca_file=ca_file) as switch:
        converse_both_ways(
            switch,
            phone,
            open_ear,
            uri=f"sip:phone@127.0.0.1:{phone.port + 1};transport=tls",
            ours=f"sip:us@{switch.tls_address};transport=tls",
        )
        assert transports(switch) == {"tls"}


@pytest.mark.parametrize("password", ["right", "wrong"])
def test_phone_with_an_account(open_switch, open_baresip, open_ear, password):
    """Nobody else may call."""
    phone, ear = (
        open_baresip("phone", says_hz=BARESIP_HZ, account=f"<sip:alice@sipcore;transport=udp>;auth_pass={password};regint=0"),
        open_ear(EAR_HZ),
    )
    with open_switch(accept_from=[], phones=[{"username": "alice", "password": "right", "algorithms": ["MD5"]}]) as switch:
        switch.on_call(phone="alice", actions=[Connect([ear.uri])])
        phones = phone.dial(f"sip:switch@{switch.sip_address}")
        if password == "wrong":
            assert phones.wait_closed()[:3] in {"401", "403"}
            assert not switch.calls.list().result
            return
        heard = talk(ear)
        phone.command("hangup")
        phones.wait_closed()
        assert_told_apart(phone, heard, baresip_hz=BARESIP_HZ, ear_hz=EAR_HZ)
        (record,) = [record for record in switch.calls.list().result if record.direction == "incoming"]
        assert (record.type, record.source.target) == ("sip-service", "alice@sipcore")


def test_stranger(open_switch, open_baresip):
    phone = open_baresip("phone", says_hz=BARESIP_HZ)
    with open_switch(accept_from=[]) as switch:
        switch.on_call(actions=[Answer()])
        assert phone.dial(f"sip:switch@{switch.sip_address}").wait_closed().startswith("403")
