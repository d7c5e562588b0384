"""Calls from outside, each header looked at."""

from __future__ import annotations

import pytest

from sipcore.frontdoor.message import NameAddr, Uri, parse
from sipcore.frontdoor.router import Ask, Drop, Flow, Received, Target, ToFlow, ToTarget, ToWorker
from sipcore.wire import CALL_HEADER, DoorTrunk

from .routing import (
    INNER,
    PORTS,
    SDP,
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
    text,
    to_flow,
    to_worker,
)


def contact_of(message) -> Uri:
    uri = NameAddr.parse(message.get_all("Contact")[0]).uri
    assert isinstance(uri, Uri)
    return uri


def worker_answer(invite, code: int = 200, port: int = PORTS[1], **more) -> bytes:
    return answer(invite.to_bytes(), code, tag="w", extra=[f"Contact: <sip:127.0.0.1:{port};ob>", f"{CALL_HEADER}: call-1"], **more)


def established(router, flow: Flow = TRUNK, worker_id: int = 1, **more) -> tuple[str, str]:
    """A call that is up: our Contact as the far end has it, and the worker's route."""
    invite = place(router, request(body=SDP, **more), flow, worker_id=worker_id)
    ok = to_flow(router.from_worker(worker_answer(invite, port=PORTS[worker_id], body=SDP), PORTS[worker_id], 1.0), flow)
    return str(contact_of(ok)), invite.get_all("Record-Route")[0]


def test_an_invite_becomes_an_offer():
    extra = [
        "P-Asserted-Identity: <tel:+15550001>",
        "X-Shop: 7",
        "User-Agent: far/1",
        f"{CALL_HEADER}: forged",
        "Authorization: Digest x=y",
    ]
    offer = ask(router_with(), request(body=SDP, extra=extra)).offer
    assert (offer.trunk, offer.source, offer.transport, offer.username) == ("provider", "192.0.2.10:5060", "udp", "")
    assert (offer.request_uri, offer.to_uri, offer.from_uri) == ("sip:1000@198.51.100.1", "sip:1000@198.51.100.1", "sip:caller@192.0.2.10")
    assert ("P-Asserted-Identity", "<tel:+15550001>") in offer.headers
    assert ("X-Shop", "7") in offer.headers
    assert not any(name in (CALL_HEADER, "Authorization") for name, _ in offer.headers)


def test_the_worker_gets_the_invite_with_our_via_and_record_route():
    extra = [f"{CALL_HEADER}: forged", "X-SIPCORE-Other: forged", "Route: <sip:198.51.100.1;lr>", "Record-Route: <sip:192.0.2.10;lr>"]
    invite = place(router_with(), request(body=SDP, extra=extra))
    assert invite.request_uri == f"sip:1000@127.0.0.1:{PORTS[1]}"
    vias = invite.get_all("Via")
    assert vias[0].startswith(f"SIP/2.0/UDP 127.0.0.1:{INNER};branch=z9hG4bK")
    assert vias[1] == "SIP/2.0/UDP 192.0.2.10:5060;rport=5060;branch=z9hG4bKfar1;received=192.0.2.10"
    assert invite.get_all("Record-Route") == [f"<sip:127.0.0.1:{INNER};lr>", "<sip:192.0.2.10;lr>"]
    assert invite.get_all(CALL_HEADER) == ["call-1"]
    assert invite.get("X-Sipcore-Other") is None
    assert invite.get("Route") is None
    assert invite.get("Contact") == "<sip:caller@192.0.2.10:5060>"
    assert invite.body.decode() == SDP


def test_nothing_of_the_inside_is_in_the_answer():
    router = router_with()
    invite = place(router, request(body=SDP, extra=["Record-Route: <sip:192.0.2.10;lr>"]))
    steps = router.from_worker(worker_answer(invite, body=SDP), PORTS[1], 1.0)
    step = only(steps, ToFlow)
    assert b"127.0.0.1" not in step.data
    assert b"sipcore" not in step.data.lower()
    assert (step.flow, step.fallback) == (TRUNK, None)
    ok = parse(step.data)
    assert ok.get_all("Via") == ["SIP/2.0/UDP 192.0.2.10:5060;rport=5060;branch=z9hG4bKfar1;received=192.0.2.10"]
    assert ok.get_all("Record-Route") == ["<sip:192.0.2.10;lr>"]
    assert contact_of(ok).host_port == US
    assert step.tag is not None
    assert (step.tag.sip_call_id, step.tag.call_id) == ("far-1", "call-1")


def test_a_dialog_goes_on_both_ways_and_after_a_restart():
    contact, route = established(router_with())
    again = router_with()  # the same secret, nothing remembered
    ack = request("ACK", uri=contact, to_tag="w", branch="z9hG4bKack")
    assert to_worker(again.from_outside(ack, TRUNK, 2.0)).method == "ACK"
    bye = to_worker(again.from_outside(request("BYE", uri=contact, to_tag="w", branch="z9hG4bKbye", cseq=2), TRUNK, 2.0))
    assert bye.request_uri == f"sip:127.0.0.1:{PORTS[1]}"
    assert bye.get("Record-Route") is None
    assert status(again.from_worker(answer(bye.to_bytes(), 200), PORTS[1], 2.0)) == 200
    own_bye = of_worker("BYE", uri="sip:caller@192.0.2.10:5060", call_id="far-1", routes=[route], to_tag="far")
    step = only(again.from_worker(own_bye, PORTS[1], 2.0), ToTarget)
    assert (step.target, step.flow) == (Target("192.0.2.10", 5060), None)
    out = parse(step.finish(US, "udp"))
    assert out.get("Route") is None
    assert to_worker(again.from_outside(answer(out.to_bytes(), 200), TRUNK, 2.0)).status == 200


def test_the_second_worker_is_another_name():
    router = router_with()
    contact, _ = established(router, worker_id=2)
    assert to_worker(router.from_outside(request("BYE", uri=contact, to_tag="w", cseq=2), TRUNK, 2.0), PORTS[2]).method == "BYE"


def test_a_token_is_good_for_its_own_call_only():
    router = router_with()
    contact, _ = established(router)
    stolen = request("BYE", uri=contact, to_tag="w", call_id="other", cseq=2)
    assert status(router.from_outside(stolen, STRANGER, 2.0)) == 481
    forged = request("BYE", uri="sip:1-00000000000000000000@198.51.100.1", to_tag="w", cseq=2)
    assert status(router.from_outside(forged, STRANGER, 2.0)) == 481
    ack = request("ACK", uri="sip:1-00000000000000000000@198.51.100.1", to_tag="w", branch="z9hG4bKack")
    assert isinstance(only(router.from_outside(ack, STRANGER, 2.0), Drop), Drop)


def test_requests_for_a_worker_that_is_gone_get_481():
    router = router_with()
    contact, _ = established(router)
    router.set_workers({2: PORTS[2]})
    assert status(router.from_outside(request("BYE", uri=contact, to_tag="w", cseq=2), TRUNK, 2.0)) == 481
    assert isinstance(only(router.from_outside(request("ACK", uri=contact, to_tag="w"), TRUNK, 2.0), Drop), Drop)


def test_the_caller_hears_of_a_worker_that_died_while_it_rang():
    router = router_with()
    invite = place(router, request(body=SDP))
    assert status(router.from_worker(worker_answer(invite, 180), PORTS[1], 1.0)) == 180
    failed = to_flow(router.set_workers({2: PORTS[2]}), TRUNK)
    assert (failed.status, failed.get("CSeq")) == (500, "1 INVITE")
    assert status(router.from_outside(request(body=SDP), TRUNK, 2.0)) == 500
    assert isinstance(only(router.from_outside(request("ACK", to_tag="x"), TRUNK, 2.0), Drop), Drop)


def test_a_retransmission_follows_its_invite():
    router = router_with()
    data = request(body=SDP)
    key = ask(router, data).key
    assert status(router.from_outside(data, TRUNK, 0.5)) == 100
    first = to_worker(router.placed(key, "call-1", 1, 0.6))
    again = to_worker(router.from_outside(data, TRUNK, 1.0))
    assert again.to_bytes() == first.to_bytes()
    router.from_worker(worker_answer(first, body=SDP), PORTS[1], 1.0)
    assert isinstance(only(router.from_outside(data, TRUNK, 1.5), Drop), Drop)


def test_asked_twice_the_key_is_the_same():
    assert ask(router_with(), request()).key == ask(router_with(), request()).key
    assert ask(router_with(), request()).key != ask(router_with(), request(branch="z9hG4bKfar2")).key


def test_a_cancel_follows_its_invite():
    router = router_with()
    invite = place(router, request(body=SDP), worker_id=2)
    cancel = to_worker(router.from_outside(request("CANCEL"), TRUNK, 1.0), PORTS[2])
    assert cancel.request_uri == f"sip:127.0.0.1:{PORTS[2]}"
    assert cancel.get_all("Via")[0].split(";")[1] == invite.get_all("Via")[0].split(";")[1]
    assert status(router.from_worker(answer(cancel.to_bytes(), 200), PORTS[2], 1.0)) == 200
    assert status(router.from_worker(worker_answer(invite, 487, PORTS[2]), PORTS[2], 1.0)) == 487
    ack = to_worker(router.from_outside(request("ACK", to_tag="w"), TRUNK, 1.0), PORTS[2])
    assert ack.get_all("Via")[0].split(";")[1] == invite.get_all("Via")[0].split(";")[1]


def test_a_cancel_finds_its_worker_four_minutes_later():
    router = router_with()
    place(router, request(body=SDP))
    router.expire(240.0)
    assert to_worker(router.from_outside(request("CANCEL"), TRUNK, 240.0)).method == "CANCEL"


def test_a_cancel_before_the_answer_of_control_goes_to_the_worker_behind_the_invite():
    router = router_with()
    key = ask(router, request(body=SDP)).key
    assert [type(step) for step in router.from_outside(request("CANCEL"), TRUNK, 0.1)] == [Received]
    steps = router.placed(key, "call-1", 1, 0.2)
    assert [parse(step.data).method for step in steps if isinstance(step, ToWorker)] == ["INVITE", "CANCEL"]


def test_a_cancel_before_a_refusal_is_answered_by_us():
    router = router_with()
    key = ask(router, request(body=SDP)).key
    router.from_outside(request("CANCEL"), TRUNK, 0.1)
    steps = router.refused(key, 404, "", (), 0.2)
    assert [(parse(step.data).status, parse(step.data).get("CSeq")) for step in steps if isinstance(step, ToFlow)] == [
        (200, "1 CANCEL"),
        (404, "1 INVITE"),
    ]


def test_a_cancel_of_nothing_is_481():
    assert status(router_with().from_outside(request("CANCEL"), TRUNK, 0.0)) == 481


def test_placements_can_be_told_again_after_a_restart():
    key = ask(router_with(), request()).key
    again = router_with()
    assert again.placed(key, "call-1", 2, 0.0) == []
    assert to_worker(again.from_outside(request("CANCEL"), TRUNK, 1.0), PORTS[2]).method == "CANCEL"


def test_a_refusal_is_repeated_and_its_ack_swallowed():
    router = router_with()
    key = ask(router, request()).key
    first = only(router.refused(key, 486, "Busy", (("Retry-After", "5"),), 0.1), ToFlow)
    again = only(router.from_outside(request(), TRUNK, 0.5), ToFlow)
    assert again.data == first.data
    refusal = parse(first.data)
    assert (refusal.status, refusal.reason, refusal.get("Retry-After")) == (486, "Busy", "5")
    assert NameAddr.parse(refusal.get("To") or "").tag
    assert isinstance(only(router.from_outside(request("ACK", to_tag="x"), TRUNK, 0.6), Drop), Drop)
    assert router.refused(key, 404, "", (), 0.7) == []
    assert router.placed(key, "call-1", 1, 0.7) == []


def test_a_place_at_a_worker_that_is_gone_is_503():
    router = router_with()
    assert status(router.placed(ask(router, request()).key, "call-1", 9, 0.1)) == 503


def test_an_offer_without_an_answer_ends():
    router = router_with()
    ask(router, request())
    assert router.expire(10.0) == []
    assert status(router.expire(40.0)) == 503
    assert router.expire(41.0) == []


def test_the_same_request_by_two_ways_is_one_call():
    router = router_with()
    ask(router, request())
    assert status(router.from_outside(request(branch="z9hG4bKother"), TRUNK, 0.1)) == 482
    key = ask(router, request(branch="z9hG4bKother", call_id="far-2"), now=0.1).key
    router.refused(key, 503, "", (), 0.2)
    ask(router, request(branch="z9hG4bKagain", call_id="far-2"), now=0.3)


def test_rfc_2543_transactions_are_told_apart_without_a_branch():
    router = router_with()
    old = {"via": "SIP/2.0/UDP 192.0.2.10:5060", "branch": "1"}
    place(router, request(**old))
    assert to_worker(router.from_outside(request("CANCEL", **old), TRUNK, 1.0)).method == "CANCEL"
    assert to_worker(router.from_outside(request("ACK", to_tag="w", **old), TRUNK, 1.0)).method == "ACK"
    assert status(router.from_outside(request("CANCEL", cseq=2, **old), TRUNK, 1.0)) == 481


@pytest.mark.parametrize(
    ("via", "peer", "noted", "back"),
    [
        ("SIP/2.0/UDP 192.0.2.10:5070", ("192.0.2.10", 6000), "SIP/2.0/UDP 192.0.2.10:5070;branch=z9hG4bKfar1", ("192.0.2.10", 5070)),
        ("SIP/2.0/UDP host.example", ("192.0.2.10", 6000),
         "SIP/2.0/UDP host.example;branch=z9hG4bKfar1;received=192.0.2.10", ("192.0.2.10", 5060)),
        ("SIP/2.0/UDP 10.0.0.9:5070;rport", ("192.0.2.10", 6000),
         "SIP/2.0/UDP 10.0.0.9:5070;rport=6000;branch=z9hG4bKfar1;received=192.0.2.10", ("192.0.2.10", 6000)),
        ("SIP/2.0/UDP 10.0.0.9:5070;received=9.9.9.9;rport=1", ("192.0.2.10", 6000),
         "SIP/2.0/UDP 10.0.0.9:5070;received=192.0.2.10;rport=6000;branch=z9hG4bKfar1", ("192.0.2.10", 6000)),
    ],
)  # fmt: skip
def test_responses_go_where_rfc_3261_and_3581_send_them(via, peer, noted, back):
    router = router_with()
    invite = place(router, request(via=via), Flow("udp", US, peer))
    assert invite.get_all("Via")[1] == noted
    assert only(router.from_worker(worker_answer(invite, 180), PORTS[1], 1.0), ToFlow).flow == Flow("udp", US, back)


def test_a_call_over_tcp_is_answered_on_its_connection_or_else_by_sent_by():
    router = router_with()
    flow = Flow("tcp", US, ("192.0.2.10", 39000), 17)
    via = "SIP/2.0/TCP 192.0.2.10:5062;rport"
    invite = place(router, request(via=via, contact="sip:caller@192.0.2.10:5062;transport=tcp", body=SDP), flow)
    step = only(router.from_worker(worker_answer(invite), PORTS[1], 1.0), ToFlow)
    assert (step.flow, step.fallback) == (flow, Target("192.0.2.10", 5062, "tcp"))
    assert contact_of(parse(step.data)).param("transport") == "tcp"
    bye = of_worker(
        "BYE", uri="sip:caller@192.0.2.10:5062;transport=tcp", call_id="far-1", routes=invite.get_all("Record-Route"), to_tag="far"
    )
    out = only(router.from_worker(bye, PORTS[1], 2.0), ToTarget)
    assert (out.flow, out.target) == (flow, Target("192.0.2.10", 5062, "tcp"))
    # an own connection has another port than the one we are reached by
    assert parse(out.finish("198.51.100.1:41234", "tcp")).get_all("Via")[0].startswith(f"SIP/2.0/TCP {US};rport;branch=")


def test_a_caller_behind_nat_gets_its_requests_where_it_sends_from():
    router = router_with(trunks=(), open_networks=("203.0.113.0/24",))
    flow = Flow("udp", US, ("203.0.113.9", 40000))
    data = request(via="SIP/2.0/UDP 10.0.0.7:5060;rport", contact="sip:caller@10.0.0.7:5060", body=SDP)
    route = place(router, data, flow).get_all("Record-Route")[0]
    bye = of_worker("BYE", uri="sip:caller@10.0.0.7:5060", call_id="far-1", routes=[route], to_tag="far")
    assert only(router.from_worker(bye, PORTS[1], 1.0), ToTarget).flow == flow


def test_ipv6():
    router = router_with(trunks=(DoorTrunk("six", ("2001:db8::/32",)),), listeners=(("udp", "[2001:db8::1]:5060"),))
    flow = Flow("udp", "[2001:db8::1]:5060", ("2001:db8::9", 5060))
    invite = place(router, request(via="SIP/2.0/UDP [2001:db8::9]:5060;rport", contact="sip:c@[2001:db8::77]:5060"), flow)
    step = only(router.from_worker(worker_answer(invite), PORTS[1], 1.0), ToFlow)
    assert step.flow == flow
    assert contact_of(parse(step.data)).host_port == "[2001:db8::1]:5060"
    bye = of_worker("BYE", uri="sip:c@[2001:db8::77]:5060", call_id="far-1", routes=invite.get_all("Record-Route"), to_tag="far")
    assert only(router.from_worker(bye, PORTS[1], 1.0), ToTarget).target == Target("2001:db8::77", 5060)


def test_the_public_address_stands_for_the_bound_one():
    router = router_with(public_address="203.0.113.5")
    contact, _ = established(router)
    assert "@203.0.113.5:5060" in contact
    assert "SIP/2.0/UDP 203.0.113.5:5060;rport" in sent(router.from_worker(of_worker(), PORTS[1], 0.0)).get_all("Via")[0]


def test_what_is_too_large_for_pjsip_is_513():
    router = router_with()
    huge = request(body=SDP + "a=x:" + "y" * 3900 + "\r\n")
    assert status(router.from_outside(huge, TRUNK, 0.0)) == 513
    padded = request(body=SDP, extra=["X-Pad: " + "y" * 3000])
    assert place(router, padded).get("X-Pad") is not None
    fat = request(body=SDP, extra=["X-Pad: " + "y" * 3800], call_id="far-2")
    slim = place(router, fat)
    assert slim.get("X-Pad") is None
    assert slim.body.decode() == SDP


def test_an_ack_without_to_tag_reaches_no_worker():
    router = router_with()
    place(router, request())
    assert isinstance(only(router.from_outside(request("ACK"), TRUNK, 1.0), Drop), Drop)


def test_text_of_offers_is_clean():
    data = request(extra=["User-Agent: a\xff\u2028b".encode("latin-1", "replace").decode("latin-1")]).replace(
        b"caller@192", b"call\xc3\x28er@192"
    )
    steps = router_with().from_outside(data, TRUNK, 0.0)
    for step in steps:
        if isinstance(step, Ask):
            assert all(value.isprintable() for value in (step.offer.from_uri, *[value for _, value in step.offer.headers]))


def test_an_answer_by_one_who_is_no_worker_is_dropped():
    router = router_with()
    invite = place(router, request())
    assert isinstance(only(router.from_worker(worker_answer(invite), 12345, 1.0), Drop), Drop)
    stray = text(
        "SIP/2.0 200 OK", ["Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKx", "From: <sip:a@b>", "To: <sip:a@b>", "Call-ID: x", "CSeq: 1 BYE"]
    )
    assert isinstance(only(router.from_worker(stray, PORTS[1], 1.0), Drop), Drop)


def test_nobody_takes_a_call_over_with_replaces():
    assert place(router_with(), request(extra=["Replaces: own-1;to-tag=a;from-tag=b"])).get("Replaces") is None


def test_control_may_refuse_what_it_has_placed_and_the_caller_hears_one_answer():
    router = router_with()
    key = ask(router, request()).key
    invite = to_worker(router.placed(key, "call-1", 1, 0.1))
    assert status(router.refused(key, 503, "", (), 5.0)) == 503
    assert isinstance(only(router.from_worker(worker_answer(invite), PORTS[1], 5.1), Drop), Drop)
    answered = place(router, request(call_id="far-2", branch="z9hG4bK2"))
    router.from_worker(worker_answer(answered), PORTS[1], 5.1)
    assert router.refused(parse(answered.to_bytes()).get_all("Via")[0].split("z9hG4bK")[1].split(";")[0], 503, "", (), 6.0) == []


def test_we_promise_no_more_than_the_front_door_lets_in():
    router = router_with()
    invite = place(router, request())
    promises = ["Allow: INVITE, SUBSCRIBE, MESSAGE", "Supported: replaces, 100rel,timer"]
    ok = to_flow(router.from_worker(answer(invite.to_bytes(), 200, extra=promises), PORTS[1], 1.0))
    assert "SUBSCRIBE" not in (ok.get("Allow") or "")
    assert ok.get("Supported") == "100rel, timer"
