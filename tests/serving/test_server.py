"""What `app.py serve` says when it begins."""

from __future__ import annotations

import logging
import socket

import pytest

from serving import certificates, server
from settings import load_settings

LAN = "http://192.168.1.7:7860"


class Listener:
    """A socket that was bound to a port."""

    def getsockname(self) -> tuple[str, int]:
        return ("0.0.0.0", 7860)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({}, ["Parley is on http://127.0.0.1:7860 (stop it with Ctrl-C)"]),
        (
            {"host": "0.0.0.0"},
            [
                "Parley is on http://localhost:7860 (stop it with Ctrl-C)",
                f"On other devices in the same network: {LAN} (for their microphone: PARLEY_HTTPS=auto)",
            ],
        ),
        (
            {"host": "0.0.0.0", "https": "auto"},
            [
                "Parley is on https://localhost:7860 (stop it with Ctrl-C)",
                "On a phone in the same network: https://192.168.1.7:7860 "
                "(the browser warns once, because the certificate is your own machine's)",
            ],
        ),
        (
            {"host": "0.0.0.0", "https": "c.pem,k.pem"},
            ["Parley is on https://localhost:7860 (stop it with Ctrl-C)"],
        ),
    ],
)
def test_the_addresses_that_it_names_can_be_opened(
    flags: dict[str, str], said: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(certificates, "addresses", lambda: ["192.168.1.7"])
    caplog.set_level(logging.INFO, "serving")
    listener: socket.socket = Listener()  # type: ignore[assignment]
    server._announce(listener, load_settings(flags, env_file=None))
    assert caplog.messages == said
