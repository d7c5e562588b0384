"""Keywords and TOML files: the same names, every fault at once."""

from pathlib import Path

import pytest

from sipcore.addresses import Address, SipUri
from sipcore.config import Config, load_config, make_config
from sipcore.errors import ConfigError

GOOD = {
    "trunk": ("sip:trunk.example:5080;transport=tcp", SipUri("trunk.example", "", 5080, "tcp")),
    "caller_id": ("tel:+821028286521", Address("tel", "+821028286521")),
    "username": ("acme", "acme"),
    "from_domain": ("acme.example", "acme.example"),
    "p_asserted_identity": (True, True),
    "sip_address": ("127.0.0.1:5070", ("127.0.0.1", 5070)),
    "rtp_ports": ([20000, 20999], (20000, 20999)),
    "public_address": ("198.51.100.1", "198.51.100.1"),
    "tls_ca_file": ("ca.pem", "ca.pem"),
    "media_root": ("prompts", Path("prompts")),
    "recordings_dir": ("rec", Path("rec")),
    "cache_dir": ("cache", Path("cache")),
    "cache_max_mb": (5, 5),
    "allow_private_urls": (False, False),
    "store": ("calls.sqlite", "calls.sqlite"),
    "max_legs": (8, 8),
    "min_workers": (0, 0),
    "grace_s": (0, 0.0),
    "dial_timeout_s": (30, 30.0),
    "max_duration_s": (60.5, 60.5),
    "hangup_timeout_s": (2, 2.0),
    "user_agent": ("Acme 1.0", "Acme 1.0"),
}


def faults_of(settings) -> dict[str, str]:
    with pytest.raises(ConfigError) as refusal:
        make_config(settings)
    return {fault.path: fault.message for fault in refusal.value.faults}


def test_every_key_is_tried_here():
    assert set(GOOD) | {"password", "http"} == set(Config.model_fields)


@pytest.mark.parametrize("key", GOOD)
def test_every_key_is_taken_from_keywords_and_from_a_file(key, tmp_path):
    given, value = GOOD[key]
    assert getattr(make_config({key: given}), key) == value
    written = {True: "true", False: "false"}.get(given, repr(given)) if isinstance(given, bool) else repr(given)
    (tmp_path / "a.toml").write_text(f"{key} = {written}\n")
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
        ("tunk", "sip:h", "tunk", "unknown key"),
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
