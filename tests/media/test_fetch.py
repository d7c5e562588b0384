"""URLs: every trouble that a server can make."""

import gzip
import ssl
import subprocess
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from page_server import redirect, reply

from media import Cancelled, FetchFailed, Limits, NotAudio, StreamError, TooLarge, UrlRefused, address, network, tones, wav
from media.url import shown

RATE = 8000
TONE = tones.tone(440.0, 1.0, RATE)
SONG = wav.header(len(TONE), RATE) + TONE.tobytes()


def test_a_wav_is_fetched(library, server):
    server.pages["/a.wav"] = reply(SONG)
    ready = library.stream(server.url("/a.wav?token=secret"))
    assert wav.read(ready.path)[0].tobytes() == TONE.tobytes()
    ((path, headers),) = server.requests
    assert path == "/a.wav?token=secret"
    assert headers["Host"] == f"127.0.0.1:{server.port}"


def test_the_host_header_keeps_the_name(library, server):
    server.pages["/a.wav"] = reply(SONG)
    library.stream(f"http://localhost:{server.port}/a.wav")
    assert server.requests[0][1]["Host"] == f"localhost:{server.port}"


@pytest.mark.parametrize("status", [204, 206, 304, 400, 403, 404, 418, 500, 503])
def test_any_status_but_200_is_an_error_that_carries_it(library, server, status):
    server.pages["/a.wav"] = reply(b"" if status in {204, 304} else SONG, status)
    with pytest.raises(FetchFailed, match=str(status)) as caught:
        library.stream(server.url("/a.wav"))
    assert caught.value.status_code == status


@pytest.mark.parametrize(
    "page", [reply(b"<p>Log in", content_type="text/html; charset=utf-8"), reply(b"\n <!DOCTYPE html>..."), reply(b"<html>")]
)
def test_a_page_of_html_says_so(library, server, page):
    server.pages["/a.wav"] = page
    with pytest.raises(NotAudio, match="the server sent a page of HTML, not audio"):
        library.stream(server.url("/a.wav"))


@pytest.mark.parametrize(("body", "message"), [(b"", "empty body"), (b'{"error": 1}', "not audio"), (SONG[:-10], "truncated")])
def test_other_bodies_that_are_no_audio(library, server, body, message):
    server.pages["/a.wav"] = reply(body)
    with pytest.raises(NotAudio, match=message):
        library.stream(server.url("/a.wav"))


def test_an_endless_body_is_cut_at_the_limit(make_library, server):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        while not server.stopping.is_set():
            handler.wfile.write(bytes(65536))

    server.pages["/a.wav"] = endless
    with pytest.raises(TooLarge, match="300000 bytes"):
        make_library(limits=Limits(download_max_bytes=300_000)).stream(server.url("/a.wav"))


def test_an_announced_length_over_the_limit_is_refused_unread(make_library, server):
    server.pages["/a.wav"] = reply(b"", Content_Length=str(10**12))
    with pytest.raises(TooLarge):
        make_library().stream(server.url("/a.wav"))


def dripping(server):
    def page(handler):
        handler.send_response(200)
        handler.end_headers()
        while not server.stopping.wait(0.02):
            handler.wfile.write(b"R")

    return page


def test_a_body_that_drips_is_cut_by_the_total_time(make_library, server):
    server.pages["/a.wav"] = dripping(server)
    with pytest.raises(FetchFailed, match=r"within 0\.3 s"):
        make_library(limits=Limits(fetch_timeout_s=0.3)).stream(server.url("/a.wav"))


@pytest.mark.parametrize("with_head", [True, False])
def test_a_server_that_says_nothing_is_cut_by_the_total_time(make_library, server, with_head):
    def silent(handler):
        if with_head:
            handler.send_response(200)
            handler.end_headers()
        server.stopping.wait(20)

    server.pages["/a.wav"] = silent
    with pytest.raises(FetchFailed, match=r"within 0\.3 s"):
        make_library(limits=Limits(fetch_timeout_s=0.3)).stream(server.url("/a.wav"))


@pytest.mark.parametrize("by_close", [True, False])
def test_cancel_and_close_end_a_fetch_at_once(library, server, by_close):
    started, cancel = threading.Event(), threading.Event()

    def silent(handler):
        started.set()
        server.stopping.wait(20)

    server.pages["/a.wav"] = silent
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(library.stream, server.url("/a.wav"), cancel)
        assert started.wait(5)
        library.close() if by_close else cancel.set()
        with pytest.raises(Cancelled):
            answer.result(2)


def test_a_body_cut_short_is_an_error(library, server):
    server.pages["/a.wav"] = reply(SONG, Content_Length=str(len(SONG) + 1000))
    with pytest.raises(FetchFailed):
        library.stream(server.url("/a.wav"))


@pytest.mark.parametrize(
    ("encoding", "encode"), [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]
)
def test_compressed_bodies_are_read(library, server, encoding, encode):
    server.pages["/a.wav"] = reply(encode(SONG), Content_Encoding=encoding)
    assert library.stream(server.url("/a.wav")).duration_s == 1.0
    assert server.requests[0][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("body", "encoding", "error", "message"),
    [
        (gzip.compress(bytes(10_000_000)), "gzip", TooLarge, "1000000 bytes"),
        (gzip.compress(SONG)[:-20], "gzip", FetchFailed, "cut short"),
        (b"no gzip at all", "gzip", FetchFailed, "damaged"),
        (SONG, "br", FetchFailed, "not supported"),
    ],
)
def test_compressed_bodies_that_are_bad(make_library, server, body, encoding, error, message):
    server.pages["/a.wav"] = reply(body, Content_Encoding=encoding)
    with pytest.raises(error, match=message):
        make_library(limits=Limits(download_max_bytes=1_000_000)).stream(server.url("/a.wav"))


def test_refused_connection(library, server):
    server.close()
    with pytest.raises(FetchFailed, match="refused") as caught:
        library.stream(server.url("/a.wav"))
    assert caught.value.status_code is None


def test_unknown_host(library):
    with pytest.raises(FetchFailed):
        library.stream("http://no-such-host.invalid/a.wav")


def test_something_that_does_not_speak_http(library, server):
    server.pages["/a.wav"] = lambda handler: handler.wfile.write(b"220 mail ready\r\n\r\n")
    with pytest.raises(FetchFailed):
        library.stream(server.url("/a.wav"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(library, server, status):
    server.pages["/a.wav"] = redirect("/deeper/b.wav", status)
    server.pages["/deeper/b.wav"] = redirect("c.wav", status)
    server.pages["/deeper/c.wav"] = reply(SONG)
    assert library.stream(server.url("/a.wav")).duration_s == 1.0


def test_a_redirect_loop_ends(library, server):
    server.pages["/a.wav"] = redirect("/a.wav")
    with pytest.raises(FetchFailed, match="more than 5 redirects"):
        library.stream(server.url("/a.wav"))
    assert len(server.requests) == 6


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/", "http://", "http://[::1", "http://a b/"])
def test_a_redirect_to_anything_else_is_refused(library, server, target):
    server.pages["/a.wav"] = redirect(target)
    with pytest.raises((UrlRefused, FetchFailed)):
        library.stream(server.url("/a.wav"))


def test_a_redirect_to_nowhere(library, server):
    server.pages["/a.wav"] = reply(b"", 302)
    with pytest.raises(FetchFailed, match="without a location"):
        library.stream(server.url("/a.wav"))


@pytest.fixture
def public(make_library):
    return make_library(allow_private_urls=False, limits=Limits(fetch_timeout_s=5))


PRIVATE = [
    "127.0.0.1",
    "localhost",
    "x.localhost",
    "10.1.2.3",
    "192.168.1.1",
    "172.16.0.1",
    "169.254.169.254",
    "100.64.1.1",
    "0.0.0.0",
    "0",
    "127.1",
    "2130706433",
    "0x7f.1",
    "017700000001",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::1]",
    "[::]",
    "[fe80::1]",
    "[fc00::1]",
    "[ff02::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "192.0.2.1",
    "198.18.0.1",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_refused_when_they_are_to_be(public, host):
    for call in (public.check_stream, public.stream):
        with pytest.raises(UrlRefused, match=r"not (a )?public"):
            call(f"http://{host}/a.wav")


@pytest.mark.parametrize("host", ["8.8.8.8", "[2606:4700::1111]", "example.org", "1.1.1.1"])
def test_public_ones_are_not(public, host):
    public.check_stream(f"https://{host}/a.wav")


def test_a_name_that_leads_to_a_private_address_is_refused_at_connect(public, server, monkeypatch):
    monkeypatch.setattr(network, "resolve", lambda host, port: [address.literal("8.8.8.8"), address.literal("127.0.0.1")])
    public.check_stream("http://example.org/")
    with pytest.raises(UrlRefused, match=r"example\.org has the address 127\.0\.0\.1"):
        public.stream(f"http://example.org:{server.port}/a.wav")
    assert server.requests == []


def test_a_redirect_to_a_private_address_is_refused(public, server, monkeypatch):
    """The first hop is let through as if loopback were public, the second is judged."""
    monkeypatch.setattr(network, "is_public", lambda found: True)
    monkeypatch.setattr(network, "resolve", lambda host, port: [address.literal("127.0.0.1")])
    server.pages["/a.wav"] = redirect("http://169.254.169.254/latest/meta-data")
    with pytest.raises(UrlRefused, match=r"redirect to http://169\.254\.169\.254"):
        public.stream(f"http://example.org:{server.port}/a.wav")
    assert len(server.requests) == 1


def test_the_name_is_resolved_once_for_each_connection(library, server, monkeypatch):
    asked = []

    def resolve(host, port):
        asked.append(host)
        return [address.literal("127.0.0.1")]

    monkeypatch.setattr(network, "resolve", resolve)
    server.pages["/a.wav"] = reply(SONG)
    library.stream(f"http://music.example.org:{server.port}/a.wav")
    assert asked == [
        "music.example.org",
    ]
    assert server.requests[0][1]["Host"] == f"music.example.org:{server.port}"


def test_the_next_address_is_tried(library, server, monkeypatch):
    monkeypatch.setattr(network, "resolve", lambda host, port: [address.literal("127.0.0.2"), address.literal("127.0.0.1")])
    server.pages["/a.wav"] = reply(SONG)
    assert library.stream(f"http://music.example.org:{server.port}/a.wav").duration_s == 1.0


def test_tls_verifies_the_name_not_the_address(library, server, monkeypatch, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            key,
            "-out",
            certificate,
            "-days",
            "2",
            "-subj",
            "/CN=music.example.org",
            "-addext",
            "subjectAltName=DNS:music.example.org",
        ],
        check=True,
        capture_output=True,
    )
    names = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    server.httpd.socket = context.wrap_socket(server.httpd.socket, server_side=True, do_handshake_on_connect=False)
    server.pages["/a.wav"] = reply(SONG)
    monkeypatch.setattr(network, "ssl_context", lambda: ssl.create_default_context(cafile=str(certificate)))
    monkeypatch.setattr(network, "resolve", lambda host, port: [address.literal("127.0.0.1")])
    assert library.stream(f"https://music.example.org:{server.port}/a.wav").duration_s == 1.0
    assert names == [
        "music.example.org",
    ]


def test_tls_to_something_else_fails(library, server):
    with pytest.raises(FetchFailed):
        library.stream(f"https://127.0.0.1:{server.port}/a.wav")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "ftp://x/y",
        "data:audio/wav;base64,AAAA",
        "gopher://x",
        "http://",
        "http:///x",
        "https://:80/",
        "http://a:99999/",
        "http://a:0/",
        "http://a/\r\nX: y",
        "http://a b/",
        "http://[::1/",
        "http://a/" + "x" * 5000,
        "http://\udc80/",
        "x://y",
        "http://a/\0",
        "//host/x://",
    ],
)
def test_urls_that_are_none_are_refused_before_anything_is_asked(library, url):
    for call in (library.check_stream, library.stream):
        with pytest.raises(StreamError) as caught:
            call(url)
        str(caught.value).encode()
        assert str(caught.value).isprintable()


def test_secrets_do_not_get_into_messages(library, server):
    with pytest.raises(FetchFailed) as caught:
        library.stream(f"http://alice:hunter2@127.0.0.1:{server.port}/gone.wav?token=abc")
    assert "hunter2" not in str(caught.value)
    assert "alice" not in str(caught.value)
    assert "abc" not in str(caught.value)
    assert shown("http://alice:hunter2@h/p@q?x") == "http://***@h/p@q?..."
    assert shown("a\nb") == "a?b"
