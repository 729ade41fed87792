"""What the doctor says of HTTPS, the microphone, and what a live conversation needs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from commands import doctor
from serving import certificates
from serving.certificates import certificate
from settings import load_settings
from speech.echo import EchoCanceller


@pytest.fixture(autouse=True)
def one_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "addresses", lambda: ["192.168.1.7", "2001:db8::7"])


@pytest.mark.parametrize(
    ("flags", "mark", "given", "refused"),
    [
        ({}, "ok", "http://127.0.0.1:7860", ""),
        ({"host": "0.0.0.0"}, "note", "http://localhost:7860", "http://192.168.1.7:7860"),
        ({"host": "192.168.1.7"}, "note", "no address", "http://192.168.1.7:7860"),
        ({"host": "::", "port": "1"}, "note", "http://localhost:1", "http://[2001:db8::7]:1"),
        ({"host": "::1"}, "ok", "http://[::1]:7860", ""),
        (
            {"host": "0.0.0.0", "https": "auto"},
            "ok",
            "https://localhost:7860, https://192.168.1.7:7860",
            "",
        ),
        ({"hosts": "docs.example.org"}, "ok", "http://127.0.0.1:7860, https://docs.example.org", ""),
    ],
)
def test_it_says_where_the_page_gets_the_microphone(
    flags: dict[str, str], mark: str, given: str, refused: str
) -> None:
    check = doctor._microphone(load_settings(flags, env_file=None))
    ending = f"; browsers refuse it on {refused}" if refused else ""
    assert (check.mark, check.finding) == (mark, f"the page gets it on {given}{ending}")
    assert ("PARLEY_HTTPS=auto" in check.remedy) == bool(refused)


def test_it_says_which_certificate_there_is_and_makes_none(tmp_path: Path) -> None:
    off = load_settings({"data": str(tmp_path)}, env_file=None)
    assert doctor._https(off).finding == "off"
    on = load_settings({"data": str(tmp_path), "https": "auto"}, env_file=None)
    assert "made at the next start" in doctor._https(on).finding
    assert list(tmp_path.iterdir()) == []
    certificate("auto", tmp_path, on.host)
    assert "valid until 2" in doctor._https(on).finding


def test_a_certificate_that_cannot_be_used_is_a_failure_with_its_remedy(tmp_path: Path) -> None:
    settings = load_settings({"https": f"{tmp_path}/c.pem,{tmp_path}/k.pem"}, env_file=None)
    said = r"c\.pem.*cannot be read.*Correct the path"
    with pytest.raises(certificates.CertificateError, match=said) as caught:
        doctor._https(settings)
    assert doctor._explains(caught.value)


def test_what_a_live_conversation_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speech.completeness.missing", lambda: "")
    assert (doctor._endpointing().mark, doctor._echo().mark) == ("ok", "ok")
    monkeypatch.setattr("speech.completeness.missing", lambda: "Install the model.")
    monkeypatch.setattr(EchoCanceller, "notice", "Wear headphones.")
    endpointing, echo = doctor._endpointing(), doctor._echo()
    assert (endpointing.mark, endpointing.remedy) == ("note", "Install the model.")
    assert (echo.mark, echo.remedy) == ("note", "Wear headphones.")


def test_it_tries_out_whether_changes_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise OSError("OS file watch limit reached.")

    settings = load_settings({"data": str(tmp_path / "data"), "corpus": (tmp_path,)}, env_file=None)
    assert (doctor._watching(settings).mark, "at once" in doctor._watching(settings).finding) == ("ok", True)
    monkeypatch.setattr("watchfiles.watch", refuse)
    check = doctor._watching(settings)
    assert (check.mark, "only now and then" in check.finding) == ("note", True)
    assert check.remedy.startswith("Raise it: sudo sysctl") or sys.platform != "linux"
    off = load_settings({"watch": False, "corpus": (tmp_path,)}, env_file=None)
    assert doctor._watching(off).finding.startswith("off")


def test_it_says_whether_scans_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    check = doctor._scans("auto")
    assert (check.mark, "install Tesseract" in check.remedy) == ("note", True)
    assert "set it to auto" in doctor._scans("none").remedy
    program = tmp_path / "tesseract"
    program.write_text("#!/bin/sh\necho 'List:\neng\nosd'\n")
    program.chmod(0o755)
    check = doctor._scans("auto")
    assert (check.mark, check.finding) == ("ok", "Tesseract reads them, and images: eng")
    assert "lacks the language deu" in doctor._scans("eng+deu").remedy
    program.write_text("#!/nowhere/sh\n")
    assert doctor._scans("auto").mark == "note"


@pytest.mark.parametrize(
    ("flags", "mark", "finding"),
    [
        ({}, "ok", "on this machine, without a key"),
        ({"auth": "anna:secret"}, "note", "serves nobody"),
        ({"hosts": "docs.example.org"}, "note", "serves nobody"),
        ({"host": "0.0.0.0", "auth": "none"}, "note", "serves nobody"),
        ({"auth": "anna:secret", "api_key": "sk-parley-0123456789"}, "ok", "show PARLEY_API_KEY"),
    ],
)
def test_it_says_whom_the_api_serves(flags: dict[str, str], mark: str, finding: str) -> None:
    check = doctor._api(load_settings(flags, env_file=None))
    assert check.mark == mark
    assert finding in check.finding
    assert "0123456789" not in check.finding + check.remedy
