"""fetch: against a real HTTP server on loopback, and against names that lie."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rag.fetch import Fetched, FetchError, fetch, is_public

Answer = Callable[[BaseHTTPRequestHandler], None]


class Site(ThreadingHTTPServer):
    """Answers each path as `pages` says."""

    daemon_threads = True

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.hosts: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.hosts.append(self.headers["Host"])
                site.pages[self.path](self)

            def log_message(self, *_: Any) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *_: Any) -> None:
        """The client hangs up on purpose in some tests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def reply(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def get(url: str, *, timeout: float = 5, max_bytes: int = 100_000, allow_private: bool = True) -> Fetched:
    return fetch(url, allow_private=allow_private, timeout=timeout, max_bytes=max_bytes)


def test_body_type_and_charset(site: Site) -> None:
    site.pages["/a"] = reply(b"caf\xe9", Content_Type='Text/HTML; charset="ISO-8859-1"')
    assert get(site.url + "/a") == Fetched(site.url + "/a", b"caf\xe9", "text/html", "iso-8859-1")


def test_redirects_are_followed_to_an_end(site: Site) -> None:
    site.pages["/a"] = reply(b"", 301, Location="/b?q=1")
    site.pages["/b?q=1"] = reply(b"here", 200)
    site.pages["/loop"] = reply(b"", 302, Location="/loop")
    got = get(site.url + "/a")
    assert (got.url, got.body) == (site.url + "/b?q=1", b"here")
    with pytest.raises(FetchError, match="redirects more than 5 times"):
        get(site.url + "/loop")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compression_nobody_asked_for_is_undone(site: Site, encoding: str) -> None:
    import zlib

    packed = gzip.compress(b"text") if encoding == "gzip" else zlib.compress(b"text")
    site.pages["/"] = reply(packed, Content_Encoding=encoding)
    assert get(site.url + "/").body == b"text"


def test_a_bomb_stops_at_the_limit(site: Site) -> None:
    site.pages["/bomb"] = reply(gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")
    site.pages["/long"] = reply(b"x" * 200_000)
    site.pages["/lies"] = reply(b"x" * 10, Content_Length="999999999")
    for path in ("/bomb", "/long", "/lies"):
        with pytest.raises(FetchError, match=r"larger than 0\.1 MB"):
            get(site.url + path)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "no page at this address"), (403, "refuses"), (503, "cannot answer now"), (418, "HTTP 418")],
)
def test_a_refusal_says_why(site: Site, status: int, reason: str) -> None:
    site.pages["/"] = reply(b"", status)
    with pytest.raises(FetchError, match=reason):
        get(site.url + "/")


def test_a_cut_answer_is_an_error(site: Site) -> None:
    site.pages["/"] = reply(b"half", Content_Length="5000")
    with pytest.raises(FetchError, match="broken answer"):
        get(site.url + "/")


@pytest.mark.parametrize("where", ["header", "body"])
def test_a_trickle_ends_at_the_deadline(site: Site, where: str) -> None:
    ended = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"X-Slow: " if where == "header" else b"\r\n"))
        while not ended.wait(0.05):
            handler.wfile.write(b"a")

    site.pages["/"] = trickle
    begin = time.monotonic()
    try:
        with pytest.raises(FetchError, match="took too long"):
            get(site.url + "/", timeout=0.6)
    finally:
        ended.set()
    assert time.monotonic() - begin < 3


def test_nobody_listening(site: Site) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(FetchError, match="cannot be reached"):
            get(f"http://127.0.0.1:{held.getsockname()[1]}/")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/a",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "nonsense",
        "",
        "http://",
        "http://a b/",
    ],
)
def test_only_web_addresses(url: str) -> None:
    with pytest.raises(FetchError, match=r"Only http|valid address|unknown"):
        get(url)


def test_credentials_are_refused_and_not_repeated() -> None:
    with pytest.raises(FetchError, match="user name or password") as caught:
        get("http://me:secret@example.org/")
    assert "secret" not in str(caught.value)


def test_redirect_to_another_scheme_is_refused(site: Site) -> None:
    site.pages["/"] = reply(b"", 302, Location="file:///etc/passwd")
    with pytest.raises(FetchError, match="Only http"):
        get(site.url + "/")


PRIVATE_V4 = (
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
    *("224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1"),
)
PRIVATE_V6 = (
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "::127.0.0.1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
)


@pytest.mark.parametrize("address", [*PRIVATE_V4, *PRIVATE_V6])
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:7f00:1]"]
)
def test_no_spelling_of_this_machine_is_reached(site: Site, host: str) -> None:
    with pytest.raises(FetchError, match=r"private network.* or set PARLEY_ALLOW_PRIVATE_URLS=1"):
        get(f"http://{host}:{site.server_port}/", allow_private=False)
    assert not site.hosts


def lying_names(monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[list[str]]]) -> None:
    """Each look-up of a name takes the next of its answers; the last one stays."""

    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *more: Any, **named: Any) -> list[Any]:
        if host[0].isdigit() and host not in answers:
            return real(host, port, *more, **named)  # an address, as the socket itself looks it up
        if host not in answers:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        turn = answers[host]
        addresses = turn.pop(0) if len(turn) > 1 else turn[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_name_that_resolves_to_a_private_address(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    lying_names(monkeypatch, {"evil.test": [["127.0.0.1"]], "mixed.test": [["8.8.8.8", "127.0.0.1"]]})
    for name in ("evil.test", "mixed.test"):
        with pytest.raises(FetchError, match="private network"):
            get(f"http://{name}:{site.server_port}/", allow_private=False)
    assert not site.hosts


def test_the_socket_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: public at the check, this machine at the next look-up. There is no next look-up."""
    reached: list[str] = []

    def create_connection(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        reached.append(address[0])
        raise OSError("no network in this test")

    lying_names(monkeypatch, {"rebind.test": [["8.8.8.8"], ["127.0.0.1"]]})
    monkeypatch.setattr(socket, "create_connection", create_connection)
    with pytest.raises(FetchError, match="cannot be reached"):
        get("http://rebind.test/", allow_private=False)
    assert reached == ["8.8.8.8"]


def test_a_redirect_is_checked_again(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    """The first page is let through as public; where it leads is not."""
    monkeypatch.setattr("rag.fetch.is_public", lambda address: address == "127.0.0.1")
    lying_names(monkeypatch, {"127.0.0.1": [["127.0.0.1"]], "inside.test": [["10.0.0.7"]]})
    site.pages["/"] = reply(b"", 302, Location="http://inside.test/secret")
    with pytest.raises(FetchError, match=r"inside\.test is on this machine or a private network"):
        get(site.url + "/", allow_private=False)


def test_the_host_name_is_sent_to_the_checked_address(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    lying_names(monkeypatch, {"named.test": [["127.0.0.1"]]})
    site.pages["/"] = reply(b"ok")
    assert get(f"http://named.test:{site.server_port}/").body == b"ok"
    assert site.hosts == [f"named.test:{site.server_port}"]


def test_an_unknown_name_and_a_silent_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    lying_names(monkeypatch, {})
    with pytest.raises(FetchError, match="its name is unknown"):
        get("http://nowhere.test/")
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(10) and [])
    with pytest.raises(FetchError, match="took too long"):
        get("http://slow.test/", timeout=0.2)
    released.set()
