"""The certificate: verified by real TLS clients, renewed when it has to be, and never half there."""

from __future__ import annotations

import ipaddress
import logging
import re
import shutil
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx
import psutil  # type: ignore[import-untyped]
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from serving import certificates
from serving.certificates import CertificateError, addresses, certificate, describe, invitation, links, near
from tests.browser.serving import serve
from tests.ui.scripted import Script
from ui.web import build_ui

Files = tuple[Path, Path]


def made(data: Path, *hosts: str, host: str = "0.0.0.0") -> Files:
    files = certificate("auto", data, host, hosts)
    assert files is not None
    return files


def leaf_of(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def names_of(path: Path) -> set[str]:
    stated = leaf_of(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {*stated.get_values_for_type(x509.DNSName), *map(str, stated.get_values_for_type(x509.IPAddress))}


def network(monkeypatch: pytest.MonkeyPatch, **interfaces: list[str]) -> None:
    """A machine that has these interfaces, all of them up."""

    def entries(found: list[str]) -> list[SimpleNamespace]:
        family = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            SimpleNamespace(
                family=family[ipaddress.ip_address(address.partition("%")[0]).version], address=address
            )
            for address in found
        ]

    everything = {name.replace("_", "-"): entries(found) for name, found in interfaces.items()}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: everything)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: dict.fromkeys(everything, SimpleNamespace(isup=True)))


def at(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """So many days from now."""
    monkeypatch.setattr(certificates, "_now", lambda: datetime.now(UTC) + timedelta(days=days))


# What is made


def test_off_is_nothing(tmp_path: Path) -> None:
    assert certificate("", tmp_path, "127.0.0.1") is None
    assert list(tmp_path.iterdir()) == []


def test_it_states_every_name_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Desk.example.org")
    network(monkeypatch, lo=["127.0.0.1", "::1"], wlan0=["192.168.1.7", "fe80::1%wlan0", "2001:db8::7"])
    cert, key = made(tmp_path, "docs.example.net", "bücher.example", "not a name", "", host="10.0.0.5")
    assert names_of(cert) == {
        *("localhost", "127.0.0.1", "::1", "desk.example.org", "desk.local"),
        *("192.168.1.7", "2001:db8::7", "10.0.0.5", "docs.example.net", "xn--bcher-kva.example"),
    }
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


def test_browsers_take_its_kind_and_its_time(tmp_path: Path) -> None:
    leaf = leaf_of(made(tmp_path)[0])
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=397)
    assert leaf.not_valid_before_utc < datetime.now(UTC) - timedelta(hours=23)
    public = leaf.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.curve.name == "secp256r1"
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@given(st.lists(st.text(max_size=80), max_size=4), st.text(max_size=80))
def test_no_name_keeps_it_from_being_made(hosts: list[str], machine: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: machine)
        names = certificates._names("0.0.0.0", hosts)
        leaf = certificates._signed(ec.generate_private_key(ec.SECP256R1()), names)
    assert certificates._stated(leaf) == set(names) >= {"localhost", "127.0.0.1", "::1"}


# Real connections


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Files]]:
    """The page with sign-in over HTTPS: its port, and the files it is served with."""
    data = tmp_path_factory.mktemp("data")
    script = Script(data)
    script.users = {"ada": "engine"}
    files = made(data, host="127.0.0.1")
    with serve(build_ui(script.services()), files) as url:
        assert url.startswith("https://")
        yield int(url.rpartition(":")[2]), files


def strict(cert: Path) -> ssl.SSLContext:
    """A client that trusts this certificate and no other, and checks it as strictly as Python can."""
    context = ssl.create_default_context(cafile=str(cert))
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_https_and_wss_are_verified_against_it(served: tuple[int, Files], name: str) -> None:
    port, (cert, _) = served
    with httpx.Client(base_url=f"https://{name}:{port}", verify=strict(cert)) as client:
        assert client.get("/health").json() == {"status": "ok"}
        signed_in = client.post("/login", data={"username": "ada", "password": "engine"})
        cookie = signed_in.headers["set-cookie"]
        assert "; Secure" in cookie
        assert "strict-transport-security" not in signed_in.headers
    headers = {"Cookie": cookie.partition(";")[0], "Origin": f"https://{name}:{port}"}
    address = f"wss://{name}:{port}/voice/ws"
    with connect(address, ssl=strict(cert), additional_headers=headers) as websocket:
        assert '"key"' in str(websocket.recv(timeout=10))
    foreign = headers | {"Origin": f"http://{name}:{port}"}
    with (
        pytest.raises(InvalidStatus, match="403"),
        connect(address, ssl=strict(cert), additional_headers=foreign),
    ):
        pass


def test_another_machines_certificate_is_not_taken_for_it(served: tuple[int, Files], tmp_path: Path) -> None:
    other, _ = made(tmp_path)
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"https://127.0.0.1:{served[0]}/health", verify=strict(other))


# What is kept, and what is made anew


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    network(monkeypatch, wlan0=["192.168.1.7", "2001:db8::7"])


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """What was logged since it was last asked."""
    caplog.set_level(logging.INFO, "serving.certificates")

    def taken() -> str:
        text = caplog.text
        caplog.clear()
        return text

    return taken


@pytest.mark.usefixtures("home")
def test_it_is_kept_while_it_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Callable[[], str]
) -> None:
    before = made(tmp_path)[0].read_bytes()
    assert "has made a certificate" in said()
    at(monkeypatch, 330)
    network(monkeypatch, wlan0=["192.168.1.7", "2001:db8::9"])  # a new privacy address
    cert, key = made(tmp_path)
    assert cert.read_bytes() == before
    assert said() == ""
    key.chmod(0o644)
    made(tmp_path)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("days", [340, 500, -400])
def test_it_is_renewed_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Callable[[], str], days: float
) -> None:
    before = leaf_of(made(tmp_path)[0])
    at(monkeypatch, days)
    said()
    after = leaf_of(made(tmp_path)[0])
    assert after.serial_number != before.serial_number
    assert after.not_valid_before_utc < certificates._now() < after.not_valid_after_utc - timedelta(days=390)
    assert "time was until" in said()


@pytest.mark.usefixtures("home")
def test_another_network_brings_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Callable[[], str]
) -> None:
    made(tmp_path)
    network(monkeypatch, wlan0=["10.1.2.3"])
    said()
    cert, _ = made(tmp_path, "docs.example.org")
    assert {"10.1.2.3", "docs.example.org"} <= names_of(cert)
    assert "192.168.1.7" not in names_of(cert)
    assert "now also 10.1.2.3, docs.example.org" in said()


def _cut(cert: Path, key: Path) -> None:
    cert.write_bytes(cert.read_bytes()[:200])


def _garbage(cert: Path, key: Path) -> None:
    key.write_bytes(b"\x00\xff" * 50)


def _gone(cert: Path, key: Path) -> None:
    key.unlink()


def _others(cert: Path, key: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    key.write_bytes(other.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("damage", [_cut, _garbage, _gone, _others])
def test_damaged_files_are_made_anew_and_said(
    tmp_path: Path, said: Callable[[], str], damage: Callable[[Path, Path], None]
) -> None:
    files = made(tmp_path)
    damage(*files)
    said()
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*made(tmp_path))
    assert "damaged" in said()
    assert sorted(path.name for path in files[0].parent.iterdir() if path.name != "lock") == [
        "certificate.pem",
        "key.pem",
    ]


def test_a_write_that_broke_off_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "https").mkdir()
    left = tmp_path / "https" / "key.new"
    left.write_bytes(b"half")
    left.chmod(0o644)
    _, key = made(tmp_path)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert not left.exists()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(CertificateError, match=r"cannot keep its certificate.*PARLEY_DATA"):
        made(tmp_path / "data")


# The person's own files


@pytest.fixture
def own(tmp_path: Path) -> Files:
    files = made(tmp_path / "made", "docs.example.org")
    return Path(shutil.copy(files[0], tmp_path / "fullchain.pem")), Path(
        shutil.copy(files[1], tmp_path / "private.pem")
    )


def test_own_files_are_used_as_they_are(own: Files, tmp_path: Path) -> None:
    own[0].write_bytes(own[0].read_bytes() + made(tmp_path / "issuer")[0].read_bytes())  # with its chain
    choice = f"{own[0]}, {own[1]}"
    assert certificate(choice, tmp_path / "data", "0.0.0.0") == own
    assert not (tmp_path / "data").exists()
    assert re.search(r"fullchain\.pem, valid until \d{4}-\d\d-\d\d$", describe(choice, tmp_path, "0.0.0.0"))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda cert, key: cert.unlink(), "fullchain.pem.*cannot be read.*Correct the path"),
        (lambda cert, key: (key.unlink(), key.mkdir()), "private.pem.*cannot be read.*Correct the path"),
        (lambda cert, key: cert.write_bytes(b"\x30\x82"), "fullchain.pem holds no certificate in PEM form"),
        (lambda cert, key: cert.write_bytes(key.read_bytes()), "holds no certificate.*certificate first"),
        (lambda cert, key: key.write_bytes(cert.read_bytes()), "private.pem holds no private key"),
        (lambda cert, key: _others(cert, key), "does not belong to the certificate"),
    ],
)
def test_own_files_are_checked(
    own: Files, tmp_path: Path, spoil: Callable[[Path, Path], object], expected: str
) -> None:
    spoil(*own)
    for check in (certificate, describe):
        with pytest.raises(CertificateError, match=expected):
            check(f"{own[0]},{own[1]}", tmp_path, "0.0.0.0")


def test_a_key_with_a_password_is_said(own: Files, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    locked = serialization.BestAvailableEncryption(b"secret")
    own[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    )
    with pytest.raises(CertificateError, match="protected by a password"):
        certificate(f"{own[0]},{own[1]}", tmp_path, "0.0.0.0")


@pytest.mark.parametrize(("days", "expected"), [(400, "ended on"), (-30, "valid only from.*clock")])
def test_an_own_certificate_out_of_its_time_is_said(
    own: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: float, expected: str
) -> None:
    at(monkeypatch, days)
    with pytest.raises(CertificateError, match=expected):
        certificate(f"{own[0]},{own[1]}", tmp_path, "0.0.0.0")


# What is said of it


@pytest.mark.usefixtures("home")
def test_describing_it_makes_nothing(tmp_path: Path) -> None:
    assert describe("", tmp_path, "0.0.0.0") == "off"
    assert "made at the next start" in describe("auto", tmp_path, "0.0.0.0")
    assert list(tmp_path.iterdir()) == []
    made(tmp_path)
    assert "valid until" in describe("auto", tmp_path, "0.0.0.0")


def test_addresses_are_those_that_others_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    network(
        monkeypatch,
        lo=["127.0.0.1", "::1"],
        wlan0=["fe80::1%wlan0", "2001:db8::7", "192.168.1.7"],
        docker0=["172.17.0.1"],
        br_1f2e=["172.18.0.1"],
        eth0=["169.254.3.4", "10.0.0.4"],
        off0=["10.9.9.9"],
    )
    stats = psutil.net_if_stats()
    monkeypatch.setattr(psutil, "net_if_stats", lambda: stats | {"off0": SimpleNamespace(isup=False)})
    assert addresses() == ["192.168.1.7", "10.0.0.4", "2001:db8::7"]


def test_this_machines_addresses_are_addresses() -> None:
    for address in addresses():
        assert not ipaddress.ip_address(address).is_loopback


@pytest.mark.usefixtures("home")
def test_links_lead_to_what_is_listened_on() -> None:
    assert links("0.0.0.0", 7860) == ["https://192.168.1.7:7860"]
    assert links("::", 7860) == ["https://[2001:db8::7]:7860"]
    assert links("10.0.0.5", 1, "http") == ["http://10.0.0.5:1"]
    assert links("desk.example.org", 443) == ["https://desk.example.org:443"]
    assert links("127.0.0.1", 7860) == links("localhost", 7860) == links("::1", 7860) == []
    assert "https://192.168.1.7:7860 (the browser warns once" in invitation("auto", "0.0.0.0", 7860)
    assert "http://192.168.1.7:7860 (for their microphone" in invitation("", "0.0.0.0", 7860)
    assert invitation("", "127.0.0.1", 7860) == invitation("auto", "127.0.0.1", 7860) == ""
    assert invitation("a.pem,b.pem", "0.0.0.0", 7860) == ""


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("0.0.0.0", "http://localhost:7860"),
        ("::", "http://localhost:7860"),
        ("::1", "http://[::1]:7860"),
        ("127.0.0.1", "http://127.0.0.1:7860"),
        ("localhost", "http://localhost:7860"),
        ("192.168.1.7", ""),
        ("desk.example.org", ""),
    ],
)
def test_every_host_can_be_opened_somewhere(host: str, here: str) -> None:
    assert near(host, 7860, "http") == here
    assert here or links(host, 7860, "http")
