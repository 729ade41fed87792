"""What an Authorization header says, and comparing it with what is right. It keeps no passwords."""

from __future__ import annotations

import base64
import hashlib
import hmac


def basic(header: str) -> tuple[str, str]:
    """User and password of an Authorization header; empty ones where it has none."""
    kind, _, encoded = header.partition(" ")
    if kind.casefold() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:  # not base64, not UTF-8
        return "", ""
    return user, password


def bearer(header: str) -> str:
    """The key of an Authorization header; empty where it has none."""
    kind, _, key = header.partition(" ")
    return key.strip() if kind.casefold() == "bearer" else ""


def same(given: str, right: str) -> bool:
    """Compared in constant time."""
    digests = (hashlib.sha256(text.encode()).digest() for text in (given, right))
    return hmac.compare_digest(*digests)
