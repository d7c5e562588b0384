"""What workers send, as it leaves, and what comes back to them."""

from __future__ import annotations

import pytest

from sipcore.frontdoor.message import NameAddr, parse
from sipcore.frontdoor.router import Drop, Flow, Router, Target, ToFlow, ToTarget, ToWorker
from sipcore.wire import CALL_HEADER

from .routing import INNER, PORTS, SDP, SETTINGS, TRUNK, US, answer, of_worker, only, request, router_with, sent, status, to_worker

OURS = f"<sip:127.0.0.1:{INNER};lr"
CONTACT = ["Contact: <sip:sbc@192.0.2.10:5060>"]


def called(router: Router, flow: Flow = TRUNK, transport: str = "udp", **more):
    """An outbound call that is answered: the 200 as the worker gets it."""
    out = sent(router.from_worker(of_worker(body=SDP, extra=[f"{CALL_HEADER}: call-9"]), PORTS[1], 0.0), transport=transport)
    return to_worker(router.from_outside(answer(out.to_bytes(), 200, **{"extra": CONTACT, "body": SDP, **more}), flow, 1.0))


def test_an_invite_leaves_as_if_there_was_no_worker():
    step = only(router_with().from_worker(of_worker(body=SDP, extra=[f"{CALL_HEADER}: call-9"]), PORTS[1], 0.0), ToTarget)
    assert (step.target, step.flow, step.worker_port) == (Target("192.0.2.10", 5060, "udp"), None, PORTS[1])
    assert step.tag is not None
    assert (step.tag.sip_call_id, step.tag.call_id) == ("own-1", "call-9")
    data = step.finish(US, "udp")
    assert b"127.0.0.1" not in data
    assert b"sipcore" not in data.lower()
    out = parse(data)
    (via,) = out.get_all("Via")
    assert via.startswith(f"SIP/2.0/UDP {US};rport;branch=z9hG4bK1.")
    assert via.endswith(".z9hG4bKPjown1")
    assert out.get("Route") is None
    assert NameAddr.parse(out.get("Contact") or "").uri.host_port == US
    assert out.body.decode() == SDP
    assert out.request_uri == "sip:+8210@192.0.2.10"


def test_the_way_it_leaves_by_is_in_via_and_contact():
    step = only(router_with().from_worker(of_worker(), PORTS[1], 0.0), ToTarget)
    out = parse(step.finish("198.51.100.1:45000", "tls"))
    assert out.get_all("Via")[0].startswith("SIP/2.0/TLS 198.51.100.1:5061;")
    assert "@198.51.100.1:5061;transport=tls>" in (out.get("Contact") or "")
    again = parse(step.finish("198.51.100.2:5060", "udp"))
    assert again.get_all("Via")[0].startswith("SIP/2.0/UDP 198.51.100.2:5060;")
    assert "transport" not in (again.get("Contact") or "")


def test_the_answer_comes_back_with_the_worker_s_own_via():
    ok = called(router_with(), extra=[*CONTACT, f"{CALL_HEADER}: forged", "Record-Route: <sip:192.0.2.20;lr>, <sip:192.0.2.10;lr>"])
    assert ok.get_all("Via") == [f"SIP/2.0/UDP 127.0.0.1:{PORTS[1]};rport={INNER};received=127.0.0.1;branch=z9hG4bKPjown1"]
    assert ok.get_all("Record-Route") == ["<sip:192.0.2.20;lr>", "<sip:192.0.2.10;lr>", f"{OURS}>"]
    assert ok.get(CALL_HEADER) is None
    assert ok.get("Contact") == "<sip:sbc@192.0.2.10:5060>"
    assert ok.body.decode() == SDP


def test_a_dialog_goes_on_both_ways_and_after_a_restart():
    ok = called(router_with())
    again = router_with()
    routes = ok.get_all("Record-Route")
    ack = of_worker("ACK", uri="sip:sbc@192.0.2.10:5060", routes=routes, to_tag="theirs", branch="z9hG4bKPjack")
    step = only(again.from_worker(ack, PORTS[1], 2.0), ToTarget)
    assert (step.target, step.flow) == (Target("192.0.2.10", 5060), None)
    invite = sent(router_with().from_worker(of_worker(), PORTS[1], 0.0))
    contact = str(NameAddr.parse(invite.get("Contact") or "").uri)
    bye = to_worker(again.from_outside(request("BYE", uri=contact, call_id="own-1", to_tag="us"), TRUNK, 3.0))
    assert bye.method == "BYE"
    assert status(again.from_worker(answer(bye.to_bytes(), 200), PORTS[1], 3.0)) == 200


def test_cancel_and_the_ack_of_a_refusal_have_the_branch_of_the_invite():
    router = router_with()
    branches = [sent(router.from_worker(of_worker(method), PORTS[1], 0.0)).get("Via") for method in ("INVITE", "CANCEL", "ACK")]
    assert branches[0] == branches[1] == branches[2]
    other = sent(router.from_worker(of_worker(port=PORTS[2]), PORTS[2], 0.0)).get("Via")
    assert other != branches[0]


@pytest.mark.parametrize("code", [100, 180, 302, 404, 503])
def test_answers_without_a_dialog_get_no_record_route_but_provisional_ones(code):
    router = router_with()
    out = sent(router.from_worker(of_worker(), PORTS[1], 0.0))
    inside = to_worker(router.from_outside(answer(out.to_bytes(), code), TRUNK, 1.0))
    assert inside.status == code
    assert inside.get_all("Record-Route") == ([f"{OURS}>"] if code == 180 else [])


def test_stray_responses_are_dropped():
    router = router_with()
    out = sent(router.from_worker(of_worker(), PORTS[1], 0.0))
    good = answer(out.to_bytes(), 200, extra=CONTACT)
    assert to_worker(router.from_outside(good, TRUNK, 1.0)).status == 200
    for bad in (
        good.replace(b"z9hG4bK1.", b"z9hG4bK2."),
        good.replace(b"Pjown1", b"Pjown2"),
        good.replace(b"From:", b"Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKq\r\nFrom:"),
        good.replace(b"branch=z9hG4bK1.", b"branch=z9hG4bK."),
    ):
        assert bad != good
        assert isinstance(only(router.from_outside(bad, TRUNK, 1.0), Drop), Drop)
    router.set_workers({2: PORTS[2]})
    assert isinstance(only(router.from_outside(good, TRUNK, 1.0), Drop), Drop)


def test_an_answer_with_a_body_that_pjsip_must_not_see_comes_without_it():
    ok = called(router_with(), body=SDP.replace("m=audio 4000", "m=audio 99999"))
    assert ok.status == 200
    assert ok.body == b""


def test_a_registration_keeps_its_user_and_gets_its_contact_back():
    router = router_with()
    asked = of_worker("REGISTER", uri="sip:192.0.2.10").replace(b"<sip:us@127", b"<sip:line7@127").replace(b";ob>", b";ob>;expires=300")
    out = sent(router.from_worker(asked, PORTS[1], 0.0), transport="tcp")
    assert out.get("Contact") == f"<sip:line7@{US};transport=tcp>;expires=300"
    # the registrar lists what it has, another device's binding too
    mine = f"<sip:line7@{US};transport=tcp>;expires=120"
    ok = answer(out.to_bytes(), 200, extra=[f"Contact: <sip:line7@203.0.113.7:5060>;expires=50, {mine}"])
    back = to_worker(router.from_outside(ok, TRUNK, 1.0))
    assert back.get_all("Contact") == ["<sip:line7@203.0.113.7:5060>;expires=50", f"<sip:line7@127.0.0.1:{PORTS[1]}>;expires=120"]


def test_the_next_hop():
    router = router_with()

    def target(*routes: str, uri: str = "sip:x@far.example") -> Target:
        return only(router.from_worker(of_worker(uri=uri, routes=routes), PORTS[1], 0.0), ToTarget).target

    assert target(f"{OURS}>") == Target("far.example")
    assert target() == Target("far.example")
    assert target(f"{OURS}>", uri="sip:x@far.example:5070;transport=TCP") == Target("far.example", 5070, "tcp")
    assert target(f"{OURS}>", uri="sip:x@far.example;maddr=192.0.2.77") == Target("192.0.2.77")
    assert target(f"{OURS}>", "<sip:proxy.example;lr>") == Target("proxy.example")
    assert target(f"{OURS};hop=tls-192.0.2.5-5061;sni=sip.example>") == Target("192.0.2.5", 5061, "tls", "sip.example")
    assert target(f"{OURS};hop=udp-[2001:db8::5]-5060>") == Target("2001:db8::5", 5060, "udp")
    assert target(f"{OURS};hop=any-my-proxy.example-0>") == Target("my-proxy.example")


def test_a_strict_router_finds_itself_in_the_request_uri():
    step = only(
        router_with().from_worker(
            of_worker(uri="sip:x@far.example", routes=[f"{OURS}>", "<sip:old.example>", "<sip:two.example;lr>"]), PORTS[1], 0.0
        ),
        ToTarget,
    )
    out = parse(step.finish(US, "udp"))
    assert (out.request_uri, out.get_all("Route")) == ("sip:old.example", ["<sip:two.example;lr>", "<sip:x@far.example>"])
    assert step.target == Target("old.example")


def test_what_cannot_be_sent_is_503_for_the_worker():
    router = router_with()
    step = only(router.from_worker(of_worker(), PORTS[1], 0.0), ToTarget)
    failed = to_worker(router.unsendable(step, "no connection", 0.0))
    assert (failed.status, failed.reason) == (503, "no connection")
    assert failed.get("Via") == f"SIP/2.0/UDP 127.0.0.1:{PORTS[1]};rport;branch=z9hG4bKPjown1"
    ack = only(router.from_worker(of_worker("ACK"), PORTS[1], 0.0), ToTarget)
    assert router.unsendable(ack, "no connection", 0.0) == []


@pytest.mark.parametrize(("uri", "code"), [("tel:+8210", 416), ("sip:x@far.example;transport=sctp", 503)])
def test_a_request_that_leads_nowhere_is_answered(uri, code):
    steps = router_with().from_worker(of_worker(uri=uri, routes=()), PORTS[1], 0.0)
    assert parse(only(steps, ToWorker).data).status == code
    bad_hop = router_with().from_worker(of_worker(routes=[f"{OURS};hop=pigeon>"]), PORTS[1], 0.0)
    assert parse(only(bad_hop, ToWorker).data).status == 500


def test_cancel_follows_an_invite_that_went_by_tcp_for_its_size():
    router = router_with()
    routes = [f"{OURS};hop=any-192.0.2.10-5060>"]
    invite = only(router.from_worker(of_worker(routes=routes), PORTS[1], 0.0), ToTarget)
    assert invite.target.transport is None
    invite.finish("198.51.100.1:41000", "tcp")
    assert only(router.from_worker(of_worker("CANCEL", routes=routes), PORTS[1], 1.0), ToTarget).target.transport == "tcp"
    invite.finish(US, "udp")  # nobody listened
    assert only(router.from_worker(of_worker("CANCEL", routes=routes), PORTS[1], 1.0), ToTarget).target.transport is None


def test_a_far_end_on_a_connection_keeps_it():
    flow = Flow("tcp", "198.51.100.1:41000", ("192.0.2.10", 5060), 3)
    router = router_with()
    (route,) = called(router, flow, "tcp").get_all("Record-Route")
    bye = of_worker("BYE", uri="sip:sbc@192.0.2.10:5060", routes=[route], to_tag="theirs")
    step = only(router.from_worker(bye, PORTS[1], 2.0), ToTarget)
    assert (step.flow, step.target) == (flow, Target("192.0.2.10", 5060))


def test_a_far_end_behind_nat_is_reached_where_it_answers_from():
    flow = Flow("udp", US, ("203.0.113.9", 40000))
    router = router_with()
    (route,) = called(router, flow, extra=["Contact: <sip:bob@192.168.1.4:5060>"]).get_all("Record-Route")
    bye = of_worker("BYE", uri="sip:bob@192.168.1.4:5060", routes=[route], to_tag="theirs")
    assert only(router.from_worker(bye, PORTS[1], 2.0), ToTarget).flow == flow


def test_a_far_end_on_another_machine_is_followed_there():
    (route,) = called(router_with(), extra=["Contact: <sip:media@192.0.2.99:5070>"]).get_all("Record-Route")
    assert route == f"{OURS}>"


def test_our_own_request_come_back_is_a_loop_but_a_spiral_is_none():
    router = router_with(open_networks=("192.0.2.0/24",))
    out = sent(router.from_worker(of_worker(uri="sip:1000@198.51.100.1", routes=()), PORTS[1], 0.0))
    assert status(router.from_outside(out.to_bytes(), TRUNK, 0.0)) == 482
    out.request_uri = "sip:line7@198.51.100.1"  # what a proxy makes of it for a binding of ours
    assert status(router.from_outside(out.to_bytes(), TRUNK, 0.0)) == 0


def test_a_refer_or_notify_of_a_worker_passes():
    step = only(router_with().from_worker(of_worker("REFER", extra=["Refer-To: <sip:x@far.example>"]), PORTS[1], 0.0), ToTarget)
    assert parse(step.finish(US, "udp")).get("Refer-To") == "<sip:x@far.example>"


def test_nothing_of_an_unknown_port_leaves():
    assert isinstance(only(router_with().from_worker(of_worker(), 5, 0.0), Drop), Drop)
    assert isinstance(only(Router(SETTINGS).from_worker(of_worker(), PORTS[1], 0.0), Drop), Drop)


def test_in_dialog_responses_of_a_worker_have_our_contact():
    router = router_with()
    invite = sent(router.from_worker(of_worker(), PORTS[1], 0.0))
    contact = NameAddr.parse(invite.get("Contact") or "").uri
    update = to_worker(router.from_outside(request("UPDATE", uri=str(contact), call_id="own-1", to_tag="us"), TRUNK, 1.0))
    ok = parse(
        only(
            router.from_worker(answer(update.to_bytes(), 200, extra=[f"Contact: <sip:127.0.0.1:{PORTS[1]};ob>"]), PORTS[1], 1.0), ToFlow
        ).data
    )
    assert NameAddr.parse(ok.get("Contact") or "").uri == contact
