"""Strings that would become SIP of their own: refused by `create`, and nothing reaches the wire."""

from __future__ import annotations

import pytest

from sipcore import Address, CallNotFound, Connect, InvalidRequest, Talk
from sipcore.errors import ConfigError

INJECTED = "\r\nX-Injected: yes"
UNSAFE = ["\r\nX-Injected: yes", "\nX-Injected: yes", "\r", "\x00", "%0d%0aX-Injected: yes", "?X-Injected=yes", "\u2028", "\x85"]


@pytest.fixture
def quiet(sipp, open_switch):
    """A trunk that must see no INVITE, and a switch that uses it."""
    with sipp.uas("uas-200-expect-bye.xml", calls=0, keys={"rtp_port": 4000}) as uas:
        with open_switch(trunk=uas.trunk) as switch:
            yield uas, switch
            assert switch.calls.list().result == ()
        result = uas.stop()
        assert result.messages == ()
        assert result.failed == 0


@pytest.mark.parametrize("unsafe", UNSAFE)
def test_in_an_address(quiet, unsafe):
    uas, switch = quiet
    good = "tel:+821021656521"
    bad = [
        f"tel:+821021656521{unsafe}",
        f"sip:bob{unsafe}@{uas.address}",
        f"sip:bob@{uas.address}{unsafe}",
        f"sip:bob@{uas.address};transport=udp{unsafe}",
        {"type": "sip", "target": f"bob@{uas.address}{unsafe}"},
        {"type": "tel", "target": f"{unsafe}+821021656521"},
        Address("sip", f"bob@{uas.address}{unsafe}"),
    ]
    for address in bad:
        with pytest.raises(InvalidRequest):
            switch.calls.create(destination=address)
        with pytest.raises(InvalidRequest):
            switch.calls.create(destination=good, source=address)
        with pytest.raises(InvalidRequest):
            switch.calls.create(destination=good, actions=[{"type": "connect", "option": {"destinations": [address]}}])
        with pytest.raises(InvalidRequest):
            switch.calls.create(destination=good, actions=[{"type": "connect", "option": {"destinations": [good], "source": address}}])
        with pytest.raises(InvalidRequest):
            switch.calls.create(destination=good, actions=[Connect([address])])


@pytest.mark.parametrize("unsafe", ["\r\nX-Injected: yes", "\n", "\x00", "\x1b", "\u2028", "\x85"])
def test_in_a_display_name(quiet, unsafe):
    _, switch = quiet
    named = {"type": "tel", "target": "+821028286521", "name": f"Bob{unsafe}"}
    with pytest.raises(InvalidRequest, match=r"source"):
        switch.calls.create(destination="tel:+821021656521", source=named)
    with pytest.raises(InvalidRequest):
        switch.calls.create(destination="tel:+821021656521", source=Address("tel", "+821028286521", f"Bob{unsafe}"))


@pytest.mark.parametrize("key", ["username", "user_agent", "from_domain", "public_address", "trunk", "caller_id"])
def test_in_the_configuration(open_switch, key):
    values = {"trunk": "sip:192.0.2.1", "caller_id": "sip:bob@192.0.2.1"}
    with pytest.raises(ConfigError, match=key), open_switch(**{key: values.get(key, "name") + INJECTED}):
        pass


@pytest.mark.parametrize(
    "destination", ["tel:12ab", "tel:", "tel:+", "sip:", "sip:@", "sip:bob@", "sips:bob@127.0.0.1", "http://127.0.0.1", "", "bob"]
)
def test_destinations_that_are_none(quiet, destination):
    _, switch = quiet
    with pytest.raises(InvalidRequest, match=r"destination"):
        switch.calls.create(destination=destination)


def test_more_legs_than_there_are(quiet):
    _, switch = quiet
    legs = switch.config.max_legs
    with pytest.raises(InvalidRequest, match=rf"needs {legs + 1} legs at once, this switch has max_legs = {legs}"):
        switch.calls.create(destination="tel:+821021656521", actions=[Connect(["tel:+821021656521"] * legs)])


def test_hangup_of_an_unknown_call(quiet):
    _, switch = quiet
    with pytest.raises(CallNotFound):
        switch.calls.hangup("00000000-0000-0000-0000-000000000001")


def test_hangup_of_a_finished_call(sipp, open_switch, ear):
    with sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear.port}) as uas, open_switch() as switch:
        call = switch.calls.create(destination=uas.uri, actions=[Talk("hi")])
        record = call.wait(timeout_s=10)
        call.hangup()
        assert switch.calls.hangup(call.id) == record == call.record
        assert uas.wait(timeout_s=5).failed == 0
