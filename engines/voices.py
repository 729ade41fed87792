"""Settings → the voices: each is opened once for each speed, and says which engine speaks for it, and why.

It does not know what is said, nor how a voice is made.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from engines.loading import Loading
from settings import Settings

if TYPE_CHECKING:
    from speech.tts import Outage, Synthesizer


class Voices:
    """The voices of one process; `synthesizer` is the one that is set, None for "none"."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.synthesizer: Loading[Synthesizer | None] = Loading("the voice", self._open_synthesizer)
        self._opened: dict[tuple[str, float], Loading[Synthesizer]] = {}
        self._outages: dict[str, Outage] = {}  # of a voice engine, at whatever speed
        self._notices: dict[str, str] = {}  # what a voice said when it was opened, or later
        self._lock = threading.Lock()

    def _open_synthesizer(self) -> Synthesizer | None:
        return self.named(self._settings.tts, self._settings.speed)

    def named(self, name: str, speed: float) -> Synthesizer | None:
        """The voice engine of that name (NAME or NAME:MODEL), opened once for each speed; None for "none"."""
        if name == "none":
            return None
        speed = round(speed, 1)
        with self._lock:
            opening = Loading(f"the voice {name}", lambda: self._open(name, speed))
            loading = self._opened.setdefault((name, speed), opening)
        return loading.get()

    def _open(self, name: str, speed: float) -> Synthesizer:
        from speech.tts import Outage, open_synthesizer

        settings = self._settings
        engine, _, model = name.partition(":")
        with self._lock:
            outage = self._outages.setdefault("gtts" if engine == "auto" else engine, Outage())
        return open_synthesizer(
            engine,
            voice=settings.voice if name == settings.tts else None,
            speed=speed,
            offline=settings.offline,
            url=settings.tts_url or None,
            key=settings.tts_key.get_secret_value() or None,
            model=model or None,
            on_notice=lambda notice: self._notices.update({name: notice}),
            outage=outage,
        )

    def speaks(self, name: str) -> tuple[str, str]:
        """The engine that speaks for the voice of that name, and why, if it is another one."""
        with self._lock:
            opened = [loading.ready() for (named, _), loading in self._opened.items() if named == name]
        voice = next(filter(None, opened), None)
        wanted = name.partition(":")[0]
        if voice is None:
            return wanted, ""
        if why := getattr(voice, "why", ""):
            return getattr(voice, "active", voice.name), why
        replaced = voice.name != wanted != "auto"
        return voice.name, self._notices.get(name, "") if replaced else ""
