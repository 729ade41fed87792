"""The certificate that the page is served with over HTTPS: Parley's own, or files that the person names.

Browsers give the microphone only to pages of their own machine and to HTTPS, so a phone on the same network
needs one. It knows neither settings nor servers, and sends nothing.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import socket
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from filelock import FileLock

log = logging.getLogger(__name__)

AUTO = "auto"
LIFETIME = timedelta(
    days=396
)  # and a day back, for a phone whose clock is behind: browsers refuse more than 398
RENEWAL = timedelta(days=60)  # before the end
_ALWAYS = ("localhost", "127.0.0.1", "::1")
_DNS_NAME = re.compile(r"(?:\*\.)?(?:(?!-)[a-z0-9_-]{1,63}(?<!-)\.)*(?!-)[a-z0-9_-]{1,63}(?<!-)")
# Bridges of containers and virtual machines: no other device of the network reaches them.
_VIRTUAL = ("docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "cni", "flannel", "lxc", "vEthernet")


class CertificateError(Exception):
    """A certificate cannot be had; the message says what is wrong and what to do."""


def certificate(choice: str, data: Path, host: str, hosts: Sequence[str] = ()) -> tuple[Path, Path] | None:
    """The files (certificate, key) to serve HTTPS with; None: HTTPS is off.

    Args:
        choice: "" for off, "auto", or "CERT.pem,KEY.pem".
        data: where Parley's own certificate is kept, in `https/`. It is made anew before it ends, when it
            lacks a name or address that this machine has now, and when its files are damaged.
        host: the address to serve on.
        hosts: further names under which the page is reached.
    """
    if not choice:
        return None
    if choice != AUTO:
        return _given(choice)
    folder = data / "https"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            return _kept(folder, _names(host, hosts))
    except OSError as error:
        raise CertificateError(
            f"Parley cannot keep its certificate in {folder} ({error.strerror}). "
            "Make this folder writable, or choose another one with PARLEY_DATA."
        ) from error


def describe(choice: str, data: Path, host: str, hosts: Sequence[str] = ()) -> str:
    """What `certificate` would give, in words; nothing is made. Raises CertificateError as it does."""
    if not choice:
        return "off"
    if choice != AUTO:
        cert, _ = _given(choice)
        return f"{cert}, valid until {_load(cert).not_valid_after_utc:%Y-%m-%d}"
    cert, key = _files(data / "https")
    if not cert.exists() or _fault(cert, key, _names(host, hosts)):
        return "a certificate of Parley's own, made at the next start"
    return f"a certificate of Parley's own, valid until {_load(cert).not_valid_after_utc:%Y-%m-%d}"


def addresses() -> list[str]:
    """This machine's addresses on its networks, IPv4 first; the system is asked, and nothing is sent."""
    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    found = [
        address
        for name, entries in psutil.net_if_addrs().items()
        if name in up and not name.startswith(_VIRTUAL)
        for entry in entries
        if entry.family in {socket.AF_INET, socket.AF_INET6}
        and (address := ipaddress.ip_address(entry.address.partition("%")[0]))
        and not (address.is_loopback or address.is_link_local or address.is_unspecified)
    ]
    return [str(address) for address in sorted(dict.fromkeys(found), key=lambda found: found.version)]


def near(host: str, port: int, scheme: str) -> str:
    """Where this machine's own browser finds a server that listens on `host`; empty: only by `links`."""
    try:
        own = ipaddress.ip_address(host)
    except ValueError:
        return f"{scheme}://{host}:{port}" if host == "localhost" else ""
    if own.is_unspecified:  # an address to listen on, which no browser can open
        return f"{scheme}://localhost:{port}"
    shown = f"[{own}]" if own.version == 6 else str(own)
    return f"{scheme}://{shown}:{port}" if own.is_loopback else ""


def links(host: str, port: int, scheme: str = "https") -> list[str]:
    """Where other devices of the network reach a server that listens on `host`; empty: nowhere."""
    try:
        own = ipaddress.ip_address(host)
    except ValueError:
        return [] if host == "localhost" else [f"{scheme}://{host}:{port}"]
    if own.is_loopback:
        return []
    reached = [ipaddress.ip_address(address) for address in addresses()] if own.is_unspecified else [own]
    return [
        f"{scheme}://[{address}]:{port}" if address.version == 6 else f"{scheme}://{address}:{port}"
        for address in reached
        if address.version == own.version
    ]


def invitation(choice: str, host: str, port: int) -> str:
    """The line for whoever starts the server: where other devices, as a phone, find it.

    Empty where no address of this machine leads there, and with the person's own files, which have names.
    """
    if choice not in {"", AUTO}:
        return ""
    found = " or ".join(links(host, port, "https" if choice else "http")[:2])
    if not found:
        return ""
    if choice:
        why = "the browser warns once, because the certificate is your own machine's"
        return f"On a phone in the same network: {found} ({why})"
    return f"On other devices in the same network: {found} (for their microphone: PARLEY_HTTPS=auto)"


def _now() -> datetime:
    return datetime.now(UTC)


# The person's own files


def _given(choice: str) -> tuple[Path, Path]:
    cert, _, key = choice.partition(",")
    paths = Path(cert.strip()).expanduser(), Path(key.strip()).expanduser()
    leaf, private = _load(paths[0]), _load_key(paths[1])
    if not _belong(leaf, private):
        raise CertificateError(
            f"The key in {paths[1]} does not belong to the certificate in {paths[0]}. "
            "Name the two files that were made together, the certificate first."
        )
    if _now() > leaf.not_valid_after_utc:
        raise CertificateError(
            f"The certificate in {paths[0]} ended on {leaf.not_valid_after_utc:%Y-%m-%d}. "
            "Renew it, or let Parley make one: PARLEY_HTTPS=auto."
        )
    if _now() < leaf.not_valid_before_utc:
        raise CertificateError(
            f"The certificate in {paths[0]} is valid only from {leaf.not_valid_before_utc:%Y-%m-%d} on. "
            "Check this machine's clock."
        )
    return paths


def _load(path: Path) -> x509.Certificate:
    """The first certificate of a file, which is the server's own where a chain follows it."""
    try:
        return x509.load_pem_x509_certificates(_read(path))[0]
    except ValueError as error:
        raise CertificateError(
            f"{path} holds no certificate in PEM form, which begins with -----BEGIN CERTIFICATE-----. "
            "Name a certificate first, then its key."
        ) from error


def _load_key(path: Path) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(_read(path), None)
    except TypeError as error:
        raise CertificateError(
            f"The key in {path} is protected by a password. Save it without one, readable for you alone."
        ) from error
    except ValueError as error:
        raise CertificateError(
            f"{path} holds no private key in PEM form, which begins with -----BEGIN PRIVATE KEY-----. "
            "Name a certificate first, then its key."
        ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(
            f"{path}, which PARLEY_HTTPS names, cannot be read ({error.strerror}). "
            "Correct the path or its permissions, or let Parley make a certificate: PARLEY_HTTPS=auto."
        ) from error


def _belong(leaf: x509.Certificate, key: PrivateKeyTypes) -> bool:
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return leaf.public_key().public_bytes(*form) == key.public_key().public_bytes(*form)


# Parley's own


def _files(folder: Path) -> tuple[Path, Path]:
    return folder / "certificate.pem", folder / "key.pem"


def _kept(folder: Path, names: list[str]) -> tuple[Path, Path]:
    """The files as they are kept, made anew where they have to be."""
    cert, key = _files(folder)
    if not cert.exists() and not key.exists():
        log.info("Parley has made a certificate for HTTPS, in %s. Browsers warn about it once.", folder)
    elif fault := _fault(cert, key, names):
        log.warning(
            "Parley has made a new certificate for HTTPS: %s. Browsers warn about it once more.", fault
        )
    else:
        key.chmod(0o600)
        return cert, key
    _make(cert, key, names)
    return cert, key


def _fault(cert: Path, key: Path, names: Iterable[str]) -> str:
    """Why the kept files cannot be used; empty: they can."""
    try:
        leaf, private = _load(cert), _load_key(key)
        stated = _stated(leaf)
    except (CertificateError, ValueError):
        return "the old one was damaged"
    if not _belong(leaf, private):
        return "the old one was damaged"
    if not leaf.not_valid_before_utc <= _now() <= leaf.not_valid_after_utc - RENEWAL:
        return f"the old one's time was until {leaf.not_valid_after_utc:%Y-%m-%d}"
    missing = [name for name in names if name not in stated and not _changes_daily(name)]
    return f"this machine is now also {', '.join(missing)}" if missing else ""


def _changes_daily(name: str) -> bool:
    """Whether it is an IPv6 address: systems change theirs for privacy, and nobody types them."""
    try:
        return ipaddress.ip_address(name).version == 6
    except ValueError:
        return False


def _stated(leaf: x509.Certificate) -> set[str]:
    """The names and addresses that a certificate is for."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))}


def _names(host: str, hosts: Iterable[str]) -> list[str]:
    """Every name and address under which this machine may be called, each once."""
    own = socket.gethostname().rstrip(".")
    label = own.partition(".")[0]
    given = [*_ALWAYS, own, f"{label}.local" if label else "", *addresses(), host, *hosts]
    return list(dict.fromkeys(name for text in given if (name := _name(text))))


def _name(text: str) -> str:
    """A name or address as a certificate can state it; empty if it cannot."""
    text = text.strip().strip("[]").rstrip(".").casefold()
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
        return "" if address.is_unspecified else str(address)
    except ValueError:
        pass
    try:
        name = text if text.isascii() else text.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    return name if len(name) <= 253 and _DNS_NAME.fullmatch(name) else ""


def _make(cert: Path, key: Path, names: Sequence[str]) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    secret = private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(key, secret, 0o600)
    _write(cert, _signed(private, names).public_bytes(pem), 0o644)


def _signed(private: ec.EllipticCurvePrivateKey, names: Sequence[str]) -> x509.Certificate:
    public, now = private.public_key(), _now()
    called = f"Parley on {socket.gethostname()}".encode("ascii", "replace").decode()[:64]
    title = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, called)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(title)
        .issuer_name(title)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
    )
    own = x509.SubjectKeyIdentifier.from_public_key(public)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectAlternativeName([_general(name) for name in names]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),  # who trusts it trusts this page alone
        (_signs_only(), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (own, False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own), False),
    ]
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(private, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _signs_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """Written beside and renamed, so that a crash leaves the old file or the new one."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)  # its mode would stay
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
