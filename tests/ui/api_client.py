"""Clients of OpenAI's API: its own, and curl."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import openai

KEY = "sk-parley-0123456789"


def official(url: str, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=20)


def curl(*arguments: str, body: bytes = b"") -> tuple[int, Any]:
    """HTTP's status and the body, as JSON where it is some."""
    command = ["curl", "-s", "-w", "\n%{http_code}", *arguments]
    done = subprocess.run(command, input=body, capture_output=True, check=True, timeout=20)
    text, _, status = done.stdout.decode().rpartition("\n")
    return int(status), json.loads(text) if text.startswith("{") else text
