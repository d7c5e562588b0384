"""A worker registers with a scripted registrar."""

from __future__ import annotations

from scripted_far_end import headers

from sipcore import engine

CHALLENGE = 'WWW-Authenticate: Digest realm="registrar", nonce="abc", algorithm=MD5, qop="auth"'


def order(peer, **more):
    account = engine.Account("alice", "secret", route_uri=f"sip:127.0.0.1:{peer.port};lr")
    values = {"expires_s": 120, "retry_s": 1, "account": account, **more}
    return engine.Register("provider", "sip:provider.example", "sip:alice@provider.example", "line7", **values)


async def accepted(peer):
    """The next REGISTER, challenged, then accepted."""
    request = await peer.got("REGISTER")
    if not headers(request, "Authorization"):
        peer.answer(request, "401 Unauthorized", "", CHALLENGE)
        request = await peer.got("REGISTER")
    contact = headers(request, "Contact")[0]
    expires = headers(request, "Expires")[0].split()[1]
    peer.answer(request, "200 OK", "", f"{contact};expires={expires}")
    return request


async def test_register_with_digest_and_take_back(bench, peer):
    bench.send(order(peer))
    request = await accepted(peer)
    assert request.startswith("REGISTER sip:provider.example SIP/2.0")
    assert headers(request, "Route") == [f"Route: <sip:127.0.0.1:{peer.port};lr>"]
    assert headers(request, "Contact") == [f"Contact: <sip:line7@127.0.0.1:{bench.sip_port}>"]
    assert headers(request, "To") == ["To: <sip:alice@provider.example>"]
    event = await bench.got(engine.RegistrationChanged)
    assert (event.trunk, event.is_registered, event.sip_code, event.expires_s) == ("provider", True, 200, 120)
    bench.send(engine.Unregister("provider"))
    request = await accepted(peer)
    assert headers(request, "Expires") == ["Expires: 0"]
    event = await bench.got(engine.RegistrationChanged, 2)
    assert (event.is_registered, event.sip_code) == (False, 200)


async def test_a_refusal_is_told_and_tried_again_with_growing_waits(bench, peer):
    bench.send(order(peer))
    for _ in range(2):
        peer.answer(await peer.got("REGISTER"), "503 Service Unavailable")
    await accepted(peer)
    assert (await bench.got(engine.RegistrationChanged, 3)).is_registered
    assert [event.sip_code for event in bench.of(engine.RegistrationChanged)] == [503, 503, 200]


async def test_a_wrong_password_is_told(bench, peer):
    bench.send(order(peer, retry_s=60))
    peer.answer(await peer.got("REGISTER"), "401 Unauthorized", "", CHALLENGE)
    peer.answer(await peer.got("REGISTER"), "403 Forbidden")
    event = await bench.got(engine.RegistrationChanged)
    assert (event.is_registered, event.sip_code) == (False, 403)


async def test_too_brief_an_interval_is_made_longer(bench, peer):
    bench.send(order(peer, expires_s=60))
    peer.answer(await peer.got("REGISTER"), "423 Interval Too Brief", "", "Min-Expires: 300")
    request = await accepted(peer)
    assert headers(request, "Expires") == ["Expires: 300"]
    assert (await bench.got(engine.RegistrationChanged)).is_registered


async def test_a_changed_order_takes_the_old_one_back_first(bench, peer):
    bench.send(order(peer))
    await accepted(peer)
    bench.send(order(peer, expires_s=240))
    assert headers(await accepted(peer), "Expires") == ["Expires: 0"]
    assert headers(await accepted(peer), "Expires") == ["Expires: 240"]
    event = await bench.got(engine.RegistrationChanged, 3)
    assert event.is_registered


async def test_more_than_a_worker_holds(bench, peer):
    for number in range(8):  # the worker's own account and seven
        account = engine.Account(route_uri=f"sip:127.0.0.1:{peer.port};lr")
        bench.send(engine.Register(f"t{number}", "sip:p.example", f"sip:u{number}@p.example", f"l{number}", account))
    event = await bench.got(engine.RegistrationChanged)
    assert (event.trunk, event.is_registered) == ("t7", False)


async def test_the_end_takes_registrations_back(open_bench, peer):
    bench = await open_bench()
    bench.send(order(peer))
    await accepted(peer)
    await bench.got(engine.RegistrationChanged)
    bench.end(5)
    assert headers(await accepted(peer), "Expires") == ["Expires: 0"]
    assert not (await bench.got(engine.RegistrationChanged, 2)).is_registered
    await bench.ended()
