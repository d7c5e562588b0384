"""What the router writes into messages to find its way back: flows, hops, tokens, branches."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.frontdoor.grammar import is_token
from sipcore.frontdoor.hops import decode_flow, decode_hop, encode_flow, is_pinned
from sipcore.frontdoor.router import Flow, Target, ToWorker
from sipcore.frontdoor.seal import Seal
from sipcore.frontdoor.uri import Uri, join_host_port
from sipcore.frontdoor.via import Via

from .routing import PORTS, STRANGER, TRUNK, US, router_with

HOSTS = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))
PORT_NUMBERS = st.integers(1, 65_535)
TORTURE = sorted((Path(__file__).parent / "torture").rglob("*.dat"))


@settings(deadline=None)
@given(st.sampled_from(["udp", "tcp", "tls"]), HOSTS, PORT_NUMBERS, HOSTS, PORT_NUMBERS, st.integers(0, 10**12 - 1))
def test_a_flow_comes_back_from_a_parameter(transport, host, port, local, local_port, connection):
    flow = Flow(transport, join_host_port(local, local_port), (host, port), connection)
    assert is_token(encode_flow(flow))
    assert decode_flow(encode_flow(flow)) == flow


@pytest.mark.parametrize("text", ["", "udp", "udp-1.2.3.4-x-l-0", "sctp-1.2.3.4-1-l-0", "udp-1.2.3.4-1-l-²", "udp-1.2.3.4-1-l-0-0"])
def test_a_flow_that_is_none(text):
    assert decode_flow(text) is None


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("udp-192.0.2.1-5060", Target("192.0.2.1", 5060, "udp")),
        ("any-[2001:db8::1]-5070", Target("2001:db8::1", 5070, None)),
        ("tls-my-host.example-0", Target("my-host.example", None, "tls")),
        ("udp-192.0.2.1", None),
        ("udp--5060", None),
        ("udp-192.0.2.1-65536", None),
        ("smoke-192.0.2.1-5060", None),
    ],
)
def test_hops(text, target):
    assert decode_hop(text, "") == target


@settings(deadline=None)
@given(st.integers(0, 10**9 - 1), st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=40), st.text(max_size=20))
def test_a_branch_tells_worker_and_own_branch_and_only_with_the_same_secret(worker_id, own, uri):
    seal = Seal(b"one")
    branch = seal.branch(worker_id, own, uri)
    assert seal.worker_of_branch(branch) == (worker_id, own)
    assert seal.has_looped(branch, uri)
    assert Seal(b"two").worker_of_branch(branch) is None


def test_a_token_survives_upper_case_and_nothing_else():
    seal = Seal(b"secret")
    user = seal.contact_user(12, "call")
    assert seal.worker_of_contact(user.upper(), "call") == 12
    for wrong in (user[:-1], user + "0", "13" + user[2:], "012" + user[2:], "", "-", "12-", "²-" + user[3:]):
        assert seal.worker_of_contact(wrong, "call") is None


@pytest.mark.parametrize(
    ("transport", "peer", "contact", "via", "pinned"),
    [
        ("udp", "192.0.2.1", "sip:a@192.0.2.1:7000", None, False),  # sends from another port than it listens on
        ("tcp", "192.0.2.1", "sip:a@192.0.2.1:7000", None, True),
        ("udp", "192.0.2.1", "sip:a@192.0.2.2", None, False),  # another machine of the same provider
        ("udp", "192.0.2.1", "sip:a@10.0.0.2", None, True),
        ("udp", "10.0.0.1", "sip:a@10.0.0.2", None, False),
        ("udp", "10.0.0.1", "sip:a@10.0.0.2", "SIP/2.0/UDP 10.0.0.2", True),  # it calls itself what it is not seen as
        ("tls", "192.0.2.1", "sip:a@name.example", None, False),
        ("tls", "192.0.2.1", "sip:a@random.invalid", None, True),
        ("udp", "::ffff:192.0.2.1", "sip:a@192.0.2.1", None, False),
    ],
)
def test_when_requests_come_back_by_the_flow(transport, peer, contact, via, pinned):
    top = None if via is None else Via.parse(via)
    assert is_pinned(Flow(transport, US, (peer, 40_000)), Uri.parse(contact), top) is pinned


@pytest.mark.parametrize("path", TORTURE, ids=lambda path: path.stem)
def test_torture_messages_break_nothing(path):
    router = router_with(open_networks=("203.0.113.0/24",))
    for flow in (TRUNK, STRANGER, Flow("tcp", US, ("2001:db8::1", 40_000), 1)):
        for step in [*router.from_outside(path.read_bytes(), flow, 0.0), *router.from_worker(path.read_bytes(), PORTS[1], 0.0)]:
            assert not isinstance(step, ToWorker) or step.port == PORTS[1]


def test_there_are_torture_messages():
    assert TORTURE
