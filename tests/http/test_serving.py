"""`sipcore serve` and its sisters as processes: signals, refusals, and the commands that ask a running server."""

import json
import signal
import time

import jwt
import pytest

from media import tones, wav
from sipcore import cli
from sipcore.testing.phone import Phone

from .process import TOKEN, serving, sipcore

pytestmark = [pytest.mark.sip, pytest.mark.timeout(90)]


@pytest.fixture
def typed(capsys):
    """Carries out a command line within this process: its exit code, what it printed, and what it said."""

    def typing(*arguments):
        try:
            code = cli.main([*arguments])
        except SystemExit as left:
            code = left.code
        return code, *capsys.readouterr()

    return typing


def request(phone, *actions):
    return {"source": "+821028286521", "destination": phone.uri, "actions": list(actions)}


def long_file(folder):
    wav.write(folder / "long.wav", tones.tone(600.0, 30.0, 8000), 8000)
    return {"type": "play", "option": {"stream_urls": ["long.wav"]}}


def test_starts_without_a_trunk_and_ends_at_sigterm(tmp_path):
    with serving(tmp_path, 'trunk = "sip:192.0.2.1"') as served:
        assert served.client.get("/healthz").json()["status"] == "ok"
        started = time.monotonic()
        served.signal(signal.SIGTERM)
        assert served.wait(10) == 0
        assert time.monotonic() - started < 5, "nothing was up, so nothing was waited for"


def test_says_that_records_are_kept_in_memory_only(tmp_path):
    with serving(tmp_path, ""):
        assert "WARNING sipcore.cli.serve: store is" in (tmp_path / "serve.log").read_text()
    with serving(tmp_path, f'store = "{tmp_path}/calls.db"'):
        assert "WARNING sipcore.cli.serve" not in (tmp_path / "serve.log").read_text()


@pytest.mark.asyncio
async def test_ends_with_an_error_when_its_http_server_does(tmp_path, monkeypatch, caplog):
    from sipcore.cli import serve
    from sipcore.config import make_config
    from sipcore.http.server import _Uvicorn

    async def dying(self):
        raise OSError("out of everything")

    monkeypatch.setattr(_Uvicorn, "main_loop", dying)
    config = make_config({"sip_address": "127.0.0.1:0", "cache_dir": tmp_path, "media_root": tmp_path})
    assert await serve._serve(config, "127.0.0.1:0") == 1
    assert "the HTTP server ended by itself" in caplog.text
    assert "out of everything" in caplog.text


def test_sigterm_lets_calls_end_by_themselves_and_takes_no_new_ones(tmp_path):
    with Phone(name="bob") as bob, serving(tmp_path, "grace_s = 20") as served:
        bob.hang_up_after(2.0)
        call = served.client.post("/v1.0/calls", json=request(bob, long_file(tmp_path))).json()
        with served.follow() as stream:
            events = stream.iter_lines()
            bob.wait_call(10)
            served.signal(signal.SIGTERM)
            refused = [served.client.post("/v1.0/calls", json=request(bob))]
            while refused[-1].status_code == 200:  # the signal has not arrived yet
                refused.append(served.client.post("/v1.0/calls", json=request(bob)))
            assert refused[-1].status_code == 503
            assert refused[-1].json()["error"]["reason"] == "DRAINING"
            assert refused[-1].headers["retry-after"]
            ends = {}
            for line in events:
                if line.startswith("data: ") and (event := json.loads(line[6:]))["type"] == "call_hangup":
                    ends[event["data"]["id"]] = event["data"]
        assert ends[call["id"]]["hangup_by"] == "remote"
        assert served.wait(10) == 0


def test_sigterm_hangs_up_what_is_up_after_the_grace(tmp_path):
    with Phone(name="bob") as bob, serving(tmp_path, "grace_s = 0.5") as served:
        assert served.client.post("/v1.0/calls", json=request(bob, long_file(tmp_path))).status_code == 200
        assert bob.wait_call(10).methods_received()[0] == "INVITE"
        served.signal(signal.SIGTERM)
        assert served.wait(15) == 0
        assert "BYE" in bob.last_call.methods_received() or "CANCEL" in bob.last_call.methods_received()


def test_sigint_twice_stops_now(tmp_path):
    with Phone(name="bob") as bob, serving(tmp_path, "grace_s = 3000") as served:
        assert served.client.post("/v1.0/calls", json=request(bob, long_file(tmp_path))).status_code == 200
        bob.wait_call(10)
        served.signal(signal.SIGINT)
        while served.client.get("/healthz").status_code == 200:
            pass
        started = time.monotonic()
        served.signal(signal.SIGINT)
        assert served.wait(10) == 0
        assert time.monotonic() - started < 5
        assert "BYE" in bob.last_call.methods_received() or "CANCEL" in bob.last_call.methods_received()


@pytest.mark.parametrize(
    ("config", "arguments", "said"),
    [
        ("", ["--http", "0.0.0.0:0"], "no token is configured"),
        ("", ["--http", "[::]:0"], "no token is configured"),
        ("", ["--http", "127.0.0.1"], "is not host:port"),
        ("", ["--http", "192.0.2.77:80"], "no token is configured"),
        ('[http]\ntokens = ["x"]', ["--http", "192.0.2.77:80"], "cannot be bound"),
        ("[http]\ncolour = 1", [], "http.colour: unknown key"),
    ],
)
def test_refuses_to_start(tmp_path, config, arguments, said):
    (tmp_path / "c.toml").write_text(config)
    result = sipcore("serve", "--config", str(tmp_path / "c.toml"), *arguments)
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_taken_port_is_said(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = sipcore("serve", "--http", f"127.0.0.1:{taken.getsockname()[1]}")
    assert result.returncode == 2
    assert "cannot be bound" in result.stderr


def test_the_commands_that_ask_a_server(tmp_path, monkeypatch, typed):
    with Phone(name="bob") as bob, serving(tmp_path, "") as served:
        bob.ring_forever()
        call = served.client.post("/v1.0/calls", json=request(bob)).json()
        environment = {"SIPCORE_URL": served.url, "SIPCORE_TOKEN": TOKEN}
        listed = sipcore("calls", "list", environment=environment)
        assert (listed.returncode, call["id"] in listed.stdout) == (0, True), listed
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        code, shown, _ = typed("calls", "show", call["id"], "--json")
        assert (code, list(json.loads(shown))) == (0, list(call))
        assert typed("calls", "hangup", call["id"])[0] == 0
        code, _, fault = typed("calls", "show", "nonsense")
        assert (code, "CALL_NOT_FOUND" in fault) == (2, True)
        monkeypatch.setenv("SIPCORE_TOKEN", "wrong")
        code, _, fault = typed("calls", "list")
        assert (code, "TOKEN_INVALID" in fault) == (2, True)
    nobody = sipcore("calls", "list", "--url", "http://127.0.0.1:1")
    assert (nobody.returncode, "Traceback" in nobody.stderr) == (2, False)


def test_token_create(tmp_path, typed):
    secret = "a secret of more than thirty-two bytes"
    (tmp_path / "c.toml").write_text(f'[http]\njwt_secret = "{secret}"')
    made = sipcore("token", "create", "--config", str(tmp_path / "c.toml"), "--user-id", "7", "--days", "1")
    claims = jwt.decode(made.stdout.strip(), secret, ["HS256"])
    assert claims["user"] == {"id": 7}
    assert 86_000 < claims["exp"] - time.time() < 86_500
    _, opaque, told = typed("token", "create", "--opaque")
    assert len(opaque.strip()) >= 40
    assert 'hashed_tokens = ["sha256:' in told
    assert opaque.strip() not in told
    for days in ("inf", "nan", "-1", "1e9"):
        code, printed, _ = typed("token", "create", "--config", str(tmp_path / "c.toml"), "--days", days)
        assert (code, printed) == (2, ""), days
    (tmp_path / "d.toml").write_text("")
    assert "jwt_secret" in typed("token", "create", "--config", str(tmp_path / "d.toml"))[2]
