"""GET one http or https URL from the public network, within a size and one deadline for all of it.

Names are resolved here, each address is checked, and the socket is opened to the address that was checked, at
every redirect anew: a name that changes its mind between the check and the connection (DNS rebinding) gains
nothing. Proxies of the environment are not used, for a proxy would resolve the name again. It does not know
documents or content types.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

_REDIRECTS = 5
_CONNECT_SECONDS = 5.0
_HEADERS = [
    (b"User-Agent", b"Parley/0.1 (reads one page on request)"),
    (b"Accept", b"text/html, application/xhtml+xml, application/pdf, text/*;q=0.9, */*;q=0.1"),
    (b"Accept-Encoding", b"identity"),
    (b"Connection", b"close"),
]
_ALLOW = "Such addresses are not read: save the page as a file, or set PARLEY_ALLOW_PRIVATE_URLS=1."
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class FetchError(Exception):
    """The URL could not be fetched: what is wrong, and what to do."""


@dataclass(frozen=True)
class Fetched:
    """What came back; `url` is where the last redirect led."""

    url: str
    body: bytes
    media_type: str  # "text/html"; "" if the server named none
    charset: str | None


def fetch(url: str, *, allow_private: bool, timeout: float, max_bytes: int) -> Fetched:
    """GET `url`. timeout: seconds for everything together; max_bytes: of the body, after decompression.

    Raises `FetchError`, also for an address that is not public unless `allow_private`.
    """
    backend = _CheckedBackend(time.monotonic() + timeout, allow_private)
    target = _checked_url(url)
    for _ in range(_REDIRECTS + 1):
        with _errors(target), httpcore.ConnectionPool(network_backend=backend) as pool:
            location = httpcore.URL(
                scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path
            )
            headers = [(b"Host", target.netloc), *_HEADERS]
            with pool.stream("GET", location, headers=headers) as response:
                fields = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in response.headers}
                if response.status not in (301, 302, 303, 307, 308) or "location" not in fields:
                    return _fetched(target, response, fields, max_bytes)
        target = _checked_url(fields["location"], target)
    raise FetchError(f"The page redirects more than {_REDIRECTS} times. Give the address it should end at.")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public network, any IPv4 address inside an IPv6 one included."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return all(
        one.is_global and not (one.is_multicast or one.is_reserved or getattr(one, "is_site_local", False))
        for one in _meanings(ip)
    )


def _meanings(ip: _Address) -> list[_Address]:
    """The addresses that a packet to `ip` may end at."""
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    if ip.ipv4_mapped:
        return [ip.ipv4_mapped]
    if ip in _NAT64:
        return [ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)]
    return [ip, ip.sixtofour] if ip.sixtofour else [ip]


def _checked_url(url: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        target = base.join(url) if base else httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchError(
            f"This is no valid address ({error}). Give one like https://example.org/page."
        ) from None
    if target.scheme not in ("http", "https") or not target.host:
        raise FetchError(
            "Only http:// and https:// addresses are read. Save the page as a file and add that."
        )
    if target.userinfo:
        raise FetchError("An address with a user name or password is not read. Save the page as a file.")
    return target


def _fetched(url: httpx.URL, response: httpcore.Response, fields: dict[str, str], max_bytes: int) -> Fetched:
    if response.status != 200:
        raise FetchError(_refusal(response.status))
    length = fields.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise FetchError(_too_big(max_bytes))
    body = _body(response.iter_stream(), fields.get("content-encoding", "").strip().lower(), max_bytes)
    media_type, _, parameters = fields.get("content-type", "").partition(";")
    charset = parameters.lower().partition("charset=")[2].partition(";")[0].strip("\"' ")
    return Fetched(str(url), body, media_type.strip().lower(), charset or None)


def _refusal(status: int) -> str:
    if status in (401, 403):
        return f"The server refuses to show the page (HTTP {status}). Save it from a browser as a file."
    if status in (404, 410):
        return f"There is no page at this address (HTTP {status}). Check the address."
    if status >= 500 or status == 429:
        return f"The server cannot answer now (HTTP {status}). Try again later."
    return (
        f"The server answered with HTTP {status} instead of a page. Open the address in a browser to see why."
    )


def _too_big(max_bytes: int) -> str:
    return f"The page is larger than {max_bytes / 1e6:g} MB. Download it and add a smaller part as a file."


def _body(pieces: Iterable[bytes], encoding: str, max_bytes: int) -> bytes:
    """The whole body, decompressed; never more than `max_bytes` in memory."""
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise FetchError(f"The page is compressed in an unknown way ({encoding[:20]}). Save it as a file.")
    inflate = zlib.decompressobj(47) if encoding not in ("", "identity") else None
    body = bytearray()
    for piece in pieces:
        room = max_bytes - len(body) + 1
        body += inflate.decompress(piece, room) if inflate else piece
        if len(body) > max_bytes:
            raise FetchError(_too_big(max_bytes))
    return bytes(body)


@contextmanager
def _errors(url: httpx.URL) -> Iterator[None]:
    """Turns what the network does into a FetchError."""
    try:
        yield
    except httpcore.TimeoutException:
        raise FetchError(
            f"{url.host} took too long to answer. Try again later, or save the page as a file."
        ) from None
    except httpcore.ConnectError as error:
        raise FetchError(
            f"{url.host} cannot be reached ({error}). Check the address and your network."
        ) from None
    except (httpcore.NetworkError, httpcore.ProtocolError, zlib.error, UnicodeError) as error:
        raise FetchError(f"{url.host} sent a broken answer ({error}). Try again later.") from None


class _CheckedBackend(httpcore.SyncBackend):
    """Opens sockets only to addresses that pass, and lets no operation outlast the deadline."""

    def __init__(self, deadline: float, allow_private: bool) -> None:
        super().__init__()
        self._deadline = deadline
        self._allow_private = allow_private

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _resolve(host, port, _left(self._deadline))
        if not self._allow_private and not all(map(is_public, addresses)):
            raise FetchError(f"{host} is on this machine or a private network. {_ALLOW}")
        for address in addresses[:-1]:
            try:
                return self._connect(address, port, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue  # the next address of the same name
        return self._connect(addresses[-1], port, socket_options)

    def _connect(self, address: str, port: int, options: Iterable[Any] | None) -> httpcore.NetworkStream:
        seconds = min(_CONNECT_SECONDS, _left(self._deadline))
        return _DeadlineStream(super().connect_tcp(address, port, seconds, None, options), self._deadline)


def _left(deadline: float) -> float:
    if (seconds := deadline - time.monotonic()) <= 0:
        raise httpcore.ReadTimeout
    return seconds


def _resolve(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a name, in the system's order; in a thread, as getaddrinfo knows no time limit."""
    found: list[str] = []
    reasons: list[OSError | UnicodeError] = []

    def look_up() -> None:
        try:
            found.extend(
                str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )
        except (OSError, UnicodeError) as error:
            reasons.append(error)

    thread = threading.Thread(target=look_up, name="parley-resolve", daemon=True)
    thread.start()
    thread.join(min(seconds, _CONNECT_SECONDS))
    if thread.is_alive():
        raise httpcore.ConnectTimeout
    if not found:
        raise httpcore.ConnectError("its name is unknown") from (reasons[0] if reasons else None)
    return list(dict.fromkeys(found))


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose every read and write ends by the deadline, so that a trickle of bytes ends too."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline))
        return _DeadlineStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
