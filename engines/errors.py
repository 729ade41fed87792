"""What is raised where an engine cannot be had."""

from __future__ import annotations


class EngineError(Exception):
    """An engine cannot be had; the message says what to do."""
