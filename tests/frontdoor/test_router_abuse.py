"""What strangers try, floods, and bytes that mean nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.frontdoor.message import parse
from sipcore.frontdoor.router import Ask, Drop, Flow, Router, ToFlow, ToTarget, ToWorker
from sipcore.frontdoor.transactions import MAX_OVER, MAX_RINGING, Entry, Phase, Transactions
from sipcore.wire import DoorLimits, DoorTrunk

from .routing import (
    PHONE,
    PORTS,
    SDP,
    SETTINGS,
    STRANGER,
    TRUNK,
    US,
    answer,
    ask,
    of_worker,
    only,
    place,
    request,
    router_with,
    sent,
    status,
    to_flow,
)

pytestmark = pytest.mark.slow


def dropped(steps) -> Drop:
    return only(steps, Drop)


def test_a_stranger_is_refused():
    assert status(router_with().from_outside(request(), STRANGER, 0.0)) == 403


def test_a_registered_trunk_is_known_by_its_user():
    router = router_with(trunks=(DoorTrunk("line", (), contact_user="line7"),))
    assert ask(router, request(uri="sip:line7@198.51.100.1"), STRANGER).offer.trunk == "line"


def test_trunks_can_change():
    router = router_with()
    router.set_trunks((DoorTrunk("new", ("203.0.113.0/24",)),))
    assert ask(router, request(), STRANGER).offer.trunk == "new"
    assert status(router.from_outside(request(call_id="x"), TRUNK, 0.0)) == 403


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("REGISTER", 405), ("MESSAGE", 405), ("PUBLISH", 405), ("REFER", 405), ("SUBSCRIBE", 489), ("BYE", 481), ("NOTIFY", 481),
        ("INFO", 481), ("UPDATE", 481), ("PRACK", 481), ("FROBNICATE", 501), ("ACK", 0),
    ],
)  # fmt: skip
def test_methods_outside_of_dialogs(method, code):
    steps = router_with().from_outside(request(method), TRUNK, 0.0)
    assert status(steps) == code
    if code in (405, 501):
        assert "INVITE" in (to_flow(steps).get("Allow") or "")


@pytest.mark.parametrize("method", ["SUBSCRIBE", "REGISTER", "MESSAGE", "FROBNICATE"])
def test_methods_that_no_worker_shall_see_do_not_pass_in_dialogs_either(method):
    router = router_with()
    contact = parse(answer(sent(router.from_worker(of_worker(), PORTS[1], 0.0)).to_bytes(), 200))
    assert contact.status == 200
    own = sent(router.from_worker(of_worker(), PORTS[1], 0.0)).get("Contact") or ""
    steps = router.from_outside(request(method, uri=own.strip("<>"), call_id="own-1", to_tag="us"), TRUNK, 0.0)
    assert status(steps) >= 400
    assert not any(isinstance(step, ToWorker) for step in steps)


@pytest.mark.parametrize("hops", ["70", "0"])
def test_options_is_answered_by_the_front_door(hops):
    ok = to_flow(router_with().from_outside(request("OPTIONS", extra=[f"Max-Forwards: {hops}"]), STRANGER, 0.0))
    assert ok.status == 200
    assert "INVITE" in (ok.get("Allow") or "")
    assert ok.get("Accept") == "application/sdp"
    assert "timer" in (ok.get("Supported") or "")


def test_no_hops_left():
    assert status(router_with().from_outside(request(extra=["Max-Forwards: 0"]), TRUNK, 0.0)) == 483


def test_missing_max_forwards_is_seventy():
    router = router_with()
    data = request().replace(b"Max-Forwards: 70\r\n", b"")
    assert place(router, data).get("Max-Forwards") == "70"


def test_a_fault_is_answered_with_its_code():
    router = router_with()
    assert status(router.from_outside(request().replace(b"CSeq: 1 INVITE", b"CSeq: 1 BYE"), TRUNK, 0.0)) == 400
    unknown = to_flow(router.from_outside(request(extra=["Require: flux"]), TRUNK, 0.0))
    assert (unknown.status, unknown.get("Unsupported")) == (420, "flux")
    assert status(router.from_outside(request().replace(b"SIP/2.0\r\nVia", b"SIP/7.0\r\nVia"), TRUNK, 0.0)) == 505


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"\0" * 100, b"INVITE", b"x" * 65_507, b"SIP/2.0 200 OK\r\n\r\n"])
def test_what_is_no_message_is_dropped(data):
    assert isinstance(dropped(router_with().from_outside(data, STRANGER, 0.0)), Drop)
    assert isinstance(dropped(router_with().from_worker(data, PORTS[1], 0.0)), Drop)


def test_a_scanner_is_not_answered_and_told_of_once():
    router = router_with()
    scan = request("OPTIONS", extra=["User-Agent: friendly-scanner"])
    first = dropped(router.from_outside(scan, STRANGER, 0.0))
    assert first.told
    assert "203.0.113.66" in first.reason
    assert not dropped(router.from_outside(scan, STRANGER, 0.1)).told
    assert isinstance(dropped(router.from_outside(request(), STRANGER, 0.1)), Drop)


def test_a_source_beyond_its_limit_is_silenced_for_a_while_and_trunks_are_not():
    router = router_with(limits=DoorLimits(source_rate=10.0, source_burst=5))
    codes = [status(router.from_outside(request(call_id=f"c{n}"), STRANGER, 0.0)) for n in range(50)]
    assert codes == [403] * 5 + [0] * 45
    assert status(router.from_outside(request(call_id="later"), STRANGER, 1.0)) == 403
    assert all(
        isinstance(step, Ask)
        for step in [only(router.from_outside(request(call_id=f"t{n}", branch=f"z9hG4bK{n}"), TRUNK, 0.0), Ask) for n in range(50)]
    )


def test_a_call_that_is_up_is_not_cut_by_the_flood_of_its_own_source():
    router = router_with(limits=DoorLimits(source_rate=1.0, source_burst=1), open_networks=("203.0.113.0/24",))
    contact = sent(router.from_worker(of_worker(), PORTS[1], 0.0)).get("Contact") or ""
    for n in range(50):
        router.from_outside(request(call_id=f"c{n}"), STRANGER, 0.0)
    bye = request("BYE", uri=contact.strip("<>"), call_id="own-1", to_tag="us")
    assert isinstance(only(router.from_outside(bye, STRANGER, 0.0), ToWorker), ToWorker)


def test_too_many_offers_wait():
    router = router_with(limits=DoorLimits(offers=3))
    asked = [ask(router, request(call_id=f"c{n}", branch=f"z9hG4bK{n}")) for n in range(3)]
    full = to_flow(router.from_outside(request(), TRUNK, 0.0))
    assert full.status == 503
    assert int(full.get("Retry-After") or "0") > 0
    router.refused(asked[0].key, 404, "", (), 0.1)
    assert isinstance(only(router.from_outside(request(cseq=2, branch="z9hG4bKagain"), TRUNK, 0.2), Ask), Ask)


def test_the_memory_of_many_calls_goes():
    router = router_with(limits=DoorLimits(offers=10))
    for number in range(2_000):
        data = request(call_id=f"c{number}", branch=f"z9hG4bK{number}")
        step = only(router.from_outside(data, TRUNK, 0.0), Ask)
        if number % 10:
            router.refused(step.key, 404, "", (), 0.0)
        else:
            router.placed(step.key, "call", 1, 0.0)
    assert len(router._table) == 2_000
    router.expire(33.0)
    assert len(router._table) == 200
    router.expire(400.0)
    assert len(router._table) == 0


def test_a_hundred_thousand_transactions_are_too_many_and_the_oldest_go():
    table = Transactions()
    for number in range(100_000):
        entry = Entry(str(number), f"m{number}", Phase.ASKED, 0.0, None)
        table.add(entry)
        table.move(entry, Phase.RINGING if number % 2 else Phase.REFUSED, float(number))
    assert len(table) == MAX_RINGING + 50_000
    for number in range(100_000, 110_000):
        table.add(Entry(str(number), f"m{number}", Phase.REFUSED, float(number), None))
    assert len(table) == MAX_RINGING + MAX_OVER
    assert table.find("1") is None
    assert table.find("99999") is not None
    assert len(table._merged) <= len(table)
    table.expire(1_000_000.0)
    assert len(table) == len(table._merged) == 0


def test_answered_calls_are_forgotten_after_thirty_two_seconds():
    router = router_with()
    invite = place(router, request())
    router.from_worker(answer(invite.to_bytes(), 200), PORTS[1], 1.0)
    router.expire(30.0)
    assert len(router._table) == 1
    router.expire(34.0)
    assert len(router._table) == 0


FLOWS = st.sampled_from([TRUNK, STRANGER, Flow("tcp", US, ("192.0.2.10", 40000), 5), Flow("udp", "[::1]:5060", ("2001:db8::1", 5060))])


def samples() -> list[bytes]:
    """Messages that get far into the router, to be broken."""
    router = router_with()
    invite = place(router, request(body=SDP, extra=["Record-Route: <sip:192.0.2.10;lr>", "Authorization: Digest a=b"]))
    out = sent(router.from_worker(of_worker(body=SDP), PORTS[1], 0.0))
    contact = (out.get("Contact") or "").strip("<>")
    return [
        request(body=SDP),
        request("CANCEL"),
        request("OPTIONS"),
        request("BYE", uri=contact, call_id="own-1", to_tag="us"),
        request("ACK", uri=contact, call_id="own-1", to_tag="us"),
        answer(out.to_bytes(), 200, extra=["Contact: <sip:x@10.0.0.1>"], body=SDP),
        of_worker(body=SDP),
        of_worker("REGISTER"),
        answer(invite.to_bytes(), 200, extra=[f"Contact: <sip:127.0.0.1:{PORTS[1]};ob>"], body=SDP),
    ]


SAMPLES = samples()
PIECES = st.sampled_from(
    [
        *(b"", b"\r\n", b"\r\n\r\n", b";", b"<", b">", b'"', b",", b":", b"@", b"\xff", b"\0", b"0", b"99999999999", b"%00", "é".encode()),
        *(b";hop=udp-x", b";flow=udp-a-b-c-d", b"sip:", b"tel:1", b"[::1", b";tag=", b"\r\nVia: ", b"\r\nRoute: ", b"\r\nRecord-Route: "),
        *(b"\r\nContact: *", b"\r\nContact: ", b"\r\nReplaces: x", b"\r\nAuthorization: Digest "),
    ]
)


@st.composite
def broken(draw) -> bytes:
    data = draw(st.sampled_from(SAMPLES))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 30)))
        data = data[:start] + draw(PIECES) + data[end:]
    return data


def carried_out(router: Router, steps, now: float) -> None:
    """Do all that may follow, so that every finish and every answer is made."""
    for step in steps:
        match step:
            case ToTarget():
                assert step.finish("[2001:db8::2]:5060", "tls").endswith(parse(step.original).body)
                router.unsendable(step, "gone", now)
            case Ask():
                for done in [*router.placed(step.key, "call-1", 1, now), *router.refused(step.key, 486, "", (), now)]:
                    assert isinstance(done, ToWorker | ToFlow)
            case ToWorker():
                assert step.port in PORTS.values()
                assert len(step.data) <= 3_900
            case ToFlow():
                assert step.data.startswith(b"SIP/2.0 ")


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=300), broken()), FLOWS, st.booleans())
def test_no_bytes_make_the_router_raise(data, flow, has_phones):
    router = Router(replace(SETTINGS, phones=(PHONE,) if has_phones else (), open_networks=("203.0.113.0/24",) if not has_phones else ()))
    router.set_workers(PORTS)
    for now in (0.0, 0.1):
        carried_out(router, router.from_outside(data, flow, now), now)
        carried_out(router, router.from_worker(data, PORTS[1], now), now)
    router.set_workers({})
    carried_out(router, router.from_outside(data, flow, 1.0), 1.0)
    router.expire(1000.0)
