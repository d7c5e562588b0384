"""Keywords and TOML files: the same names, every fault at once."""

import re
import tomllib
from pathlib import Path

import pytest

from sipcore.addresses import Address, SipUri
from sipcore.config import Config, load_config, make_config
from sipcore.config_inbound import InboundRule
from sipcore.config_trunks import PhoneConfig, TrunkConfig
from sipcore.errors import ConfigError

GOOD = {
    "trunk": ("sip:trunk.example:5080;transport=tcp", SipUri("trunk.example", "", 5080, "tcp")),
    "caller_id": ("tel:+821028286521", Address("tel", "+821028286521")),
    "username": ("acme", "acme"),
    "from_domain": ("acme.example", "acme.example"),
    "p_asserted_identity": (True, True),
    "accept_from": (["192.0.2.7/24", "2001:db8::1"], ("192.0.2.0/24", "2001:db8::1/128")),
    "stranger_share": (0.5, 0.5),
    "unanswered_share": (1, 1.0),
    "sip_address": ("127.0.0.1:5070", ("127.0.0.1", 5070)),
    "tcp": (False, False),
    "tls_address": ("[::1]:5061", ("::1", 5061)),
    "tls_certificate": ("cert.pem", "cert.pem"),
    "tls_key": ("key.pem", "key.pem"),
    "tls_verify_clients": (True, True),
    "rtp_timeout_s": (0, 0.0),
    "rtp_source_change": ("end", "end"),
    "session_expires_s": (0, 0),
    "session_min_se_s": (120, 120),
    "reliable_provisional": ("off", "off"),
    "rtp_ports": ([20000, 20999], (20000, 20999)),
    "public_address": ("198.51.100.1", "198.51.100.1"),
    "tls_ca_file": ("ca.pem", "ca.pem"),
    "media_root": ("prompts", Path("prompts")),
    "recordings_dir": ("rec", Path("rec")),
    "recording_max_s": (60, 60.0),
    "recording_max_mb": (5, 5),
    "max_conferences": (5, 5),
    "max_conference_members": (50, 50),
    "conference_entry_tone": (False, False),
    "conference_exit_tone": (False, False),
    "cache_dir": ("cache", Path("cache")),
    "cache_max_mb": (5, 5),
    "voice": ("en.onnx", "en.onnx"),
    "allow_private_urls": (False, False),
    "store": ("calls.sqlite", "calls.sqlite"),
    "max_legs": (8, 8),
    "min_workers": (0, 0),
    "grace_s": (0, 0.0),
    "dial_timeout_s": (30, 30.0),
    "max_duration_s": (60.5, 60.5),
    "kept_digits": (7, 7),
    "max_queued_audio_s": (60, 60.0),
    "max_unread_audio_s": (2.5, 2.5),
    "flight_calls": (10, 10),
    "flight_mb": (8, 8),
    "hangup_timeout_s": (2, 2.0),
    "user_agent": ("Acme 1.0", "Acme 1.0"),
}


DESCRIBED = Path(__file__).parents[2] / "config" / "sipcore.toml"


def faults_of(settings) -> dict[str, str]:
    with pytest.raises(ConfigError) as refusal:
        make_config(settings)
    return {fault.path: fault.message for fault in refusal.value.faults}


def test_every_key_is_tried_here():
    assert set(GOOD) | {"password", "flow", "http", "trunks", "phones", "inbound"} == set(Config.model_fields)


@pytest.mark.parametrize("key", GOOD)
def test_every_key_is_taken_from_keywords_and_from_a_file(key, tmp_path):
    given, value = GOOD[key]
    needed = {"tls_certificate": "cert.pem"} if key == "tls_address" else {}
    assert getattr(make_config({key: given} | needed), key) == value
    written = {True: "true", False: "false"}.get(given, repr(given)) if isinstance(given, bool) else repr(given)
    (tmp_path / "a.toml").write_text("".join([f"{key} = {written}\n", *(f"{name} = {text!r}\n" for name, text in needed.items())]))
    assert getattr(load_config(tmp_path / "a.toml"), key) == value


def test_password_is_taken_and_not_shown():
    config = make_config({"password": "sesame"})
    assert config.password.get_secret_value() == "sesame"
    assert "sesame" not in repr(config) + str(config)


def test_defaults_suffice():
    config = make_config({})
    assert (config.trunk, config.store, config.sip_address, config.max_legs) == (None, ":memory:", ("0.0.0.0", 0), 64)
    assert make_config({"trunk": "", "caller_id": ""}).trunk is None


@pytest.mark.parametrize(
    ("key", "value", "path", "said"),
    [
        ("trunk", "trunk.example", "trunk", "must begin with sip:"),
        ("trunk", "sip:", "trunk", "no host"),
        ("trunk", "sip:acme@trunk.example", "trunk", "not a user"),
        ("trunk", "sip:h\r\nX: y", "trunk", "control characters"),
        ("trunk", 5, "trunk", "must be a string"),
        ("caller_id", "tel:12ab", "caller_id", "E.164"),
        ("username", "a\r\nb", "username", "control character"),
        ("user_agent", "a\nb", "user_agent", "control character"),
        ("from_domain", "a>b", "from_domain", "not a host name"),
        ("from_domain", "a:5060", "from_domain", "not a host name"),
        ("public_address", "1.2.3.4\r\n", "public_address", "not a host name"),
        ("sip_address", "127.0.0.1:70000", "sip_address", "not host:port"),
        ("sip_address", ":5060", "sip_address", "not host:port"),
        ("sip_address", 5060, "sip_address", "must be a string"),
        ("rtp_ports", [20000, 20005], "rtp_ports", "at least 16 ports"),
        ("rtp_ports", [1000, 2000], "rtp_ports[0]", "1024"),
        ("rtp_ports", [20000], "rtp_ports[1]", "required"),
        ("max_legs", 0, "max_legs", "greater than or equal to 1"),
        ("max_legs", "many", "max_legs", "integer"),
        ("min_workers", -1, "min_workers", "greater than or equal to 0"),
        ("grace_s", -1, "grace_s", "greater than or equal to 0"),
        ("dial_timeout_s", 0, "dial_timeout_s", "greater than 0"),
        ("max_duration_s", 0, "max_duration_s", "greater than 0"),
        ("hangup_timeout_s", 61, "hangup_timeout_s", "60"),
        ("cache_max_mb", 0, "cache_max_mb", "greater than or equal to 1"),
        ("media_root", 5, "media_root", "path"),
        ("tunk", "sip:h", "tunk", "unknown key; did you mean trunk?"),
        ("colour", "red", "colour", "unknown key"),
        ("sip_address", "::1:5060", "sip_address", "in brackets"),
        ("sip_address", "[127.0.0.1]:5060", "sip_address", "in brackets"),
        ("accept_from", ["10.0.0.0/33"], "accept_from[0]", "not an address or a network"),
        ("tls_address", "0.0.0.0:5061", "tls_certificate", "is missing"),
        ("session_expires_s", 60, "session_expires_s", "at least session_min_se_s (90)"),
        ("session_min_se_s", 60, "session_min_se_s", "90"),
        ("reliable_provisional", "maybe", "reliable_provisional", "off"),
        ("http", {"tokens": [], "max_conections": 3}, "http.max_conections", "did you mean max_connections?"),
        ("http", {"users": [{"id": 1, "token": []}]}, "http.users[0].token", "did you mean tokens?"),
        ("phones", [{"username": "desk"}], "phones[0].password", "required"),
        ("phones", [{"username": "a", "password": ""}], "phones[0].password", "at least 1"),
        ("phones", [{"username": "a", "password": "b"}] * 2, "phones[1].username", "the same as in phones[0]"),
        ("inbound", [{"actions": [{"type": "answer"}], "too": "1"}], "inbound[0].too", "did you mean to?"),
    ],
)
def test_wrong_values_say_where_and_why(key, value, path, said):
    faults = faults_of({key: value})
    assert list(faults) == [path]
    assert said in faults[path]


def test_all_faults_at_once_with_the_file_in_front(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text('trunk = "x"\nmax_legs = 0\nrtp_ports = [1, 2]\ncolour = "red"\n[http]\nport = 1\n')
    with pytest.raises(ConfigError) as refusal:
        load_config(file)
    paths = {fault.path for fault in refusal.value.faults}
    assert paths == {f"{file}: {key}" for key in ("trunk", "max_legs", "rtp_ports[0]", "rtp_ports[1]", "colour", "http.port")}
    for path in paths:
        assert path in str(refusal.value)


@pytest.mark.parametrize(("content", "said"), [(b"trunk = \n", "is not TOML"), (b"trunk = 'a\xff'", "is not TOML")])
def test_what_is_not_toml(tmp_path, content, said):
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{file}: {said}"):
        load_config(file)


def test_unreadable_files(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config("a\x00b")


def test_what_is_typed_stands_in_front_of_the_file(tmp_path):
    file = tmp_path / "sipcore.toml"
    file.write_text('trunk = "sip:trunk.example;transport=tcp"\ncaller_id = "tel:+8210"\n')
    config = load_config(file, caller_id="tel:+8220")
    assert (str(config.trunk), str(config.caller_id)) == ("sip:trunk.example;transport=tcp", "tel:+8220")


def test_the_file_that_describes_every_key_has_the_defaults():
    described, default = load_config(DESCRIBED), make_config({})
    assert {key for key in Config.model_fields if getattr(described, key) != getattr(default, key)} == set()
    text = DESCRIBED.read_text()
    assert {key for key in Config.model_fields if not re.search(rf"^#?(?:\[+{key}\]|{key} = )", text, re.MULTILINE)} == set()


@pytest.mark.parametrize(("table", "model"), [("trunks", TrunkConfig), ("phones", PhoneConfig), ("inbound", InboundRule)])
def test_the_tables_in_it_are_complete_and_can_be_pasted(table, model):
    text = DESCRIBED.read_text()
    lines = text[text.index("#[[trunks]]") :].splitlines()
    pasted = tomllib.loads("\n".join(line[1:] if re.match(r"#(?:\[\[|[a-z_]+ = )", line) else line for line in lines))
    assert make_config(pasted)
    (example,) = pasted[table]
    assert set(example) == {field.alias or name for name, field in model.model_fields.items()}
    for name, field in model.model_fields.items():
        if isinstance(field.default, bool | int | float):
            assert example[field.alias or name] == field.default
