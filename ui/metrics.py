"""How fast this server answers and how much it does, for Prometheus.

It holds no text, no user and no address. Each app has figures of its own, and any thread may add to them.
"""

from __future__ import annotations

import logging
import math
import platform
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import choose_encoder

log = logging.getLogger(__name__)

# Of a turn, in seconds from the end of speech, from letting go of push-to-talk or from sending, in the order
# in which they are reached.
STAGES = (
    "endpoint",
    "release",
    "transcript",
    "standalone",
    "retrieval",
    "first_token",
    "first_sentence",
    "audio_sent",
    "first_audio",
    "total",
)
KINDS = ("spoken", "typed")
INTERRUPTIONS = ("real", "resumed")
LONGEST = 3600.0  # seconds: more is a clock that was set, or a page that makes things up
# Closest where a conversation is felt to hesitate; 0.15, 0.5, 0.7 and 1.2 are the limits that it is held to.
BUCKETS = (
    *(0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85),
    *(1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 10.0),
)


class Metrics:
    """The figures of one app."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        self._stages = Histogram(
            "parley_turn_stage_seconds",
            "Seconds from the end of speech, from letting go, or from sending, until a turn is this far.",
            ("stage", "kind"),
            buckets=BUCKETS,
            registry=own,
        )
        self._turns = Counter("parley_turns", "Turns that were answered.", ("kind",), registry=own)
        self._interruptions = Counter(
            "parley_interruptions",
            "Times the voice stopped because somebody spoke: real ones, and those after which it went on.",
            ("kind",),
            registry=own,
        )
        self._live = Gauge("parley_live_conversations", "Conversations by voice right now.", registry=own)
        self._lost = Counter("parley_frames_lost", "Microphone frames that never arrived.", registry=own)
        self._documents = Gauge("parley_documents", "Documents that can be asked.", registry=own)
        Info("parley_build", "What runs here.", registry=own).info(
            {"version": _version(), "python": platform.python_version()}
        )
        ProcessCollector(registry=own)
        self._begin_at_zero()

    def turn(self, timings: Mapping[str, float], *, spoken: bool) -> None:
        """One turn that has been answered; `timings` may lack stages, and others than STAGES are left out."""
        self._turns.labels(_kind(spoken)).inc()
        for name, seconds in timings.items():
            self.stage(name, seconds, spoken=spoken)

    def stage(self, name: str, seconds: float, *, spoken: bool) -> None:
        """One stage alone, as where a page reports the first sound after the turn has been told."""
        if name in STAGES and math.isfinite(seconds) and 0 <= seconds <= LONGEST:
            self._stages.labels(name, _kind(spoken)).observe(seconds)

    def interruption(self, kind: str) -> None:
        """`kind`: one of INTERRUPTIONS."""
        self._interruptions.labels(kind).inc()

    def frames_lost(self, count: int = 1) -> None:
        self._lost.inc(count)

    def count_documents(self, count: Callable[[], int]) -> None:
        """`count`: how many can be asked now; called whenever the figures are read."""
        self._documents.set_function(_safe(count))

    @contextmanager
    def conversation(self) -> Iterator[None]:
        """A conversation by voice, for as long as it lasts."""
        with self._live.track_inprogress():
            yield

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """All figures and their content type, in the format that an Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _begin_at_zero(self) -> None:
        """A rate needs a first value before the first event."""
        for kind in KINDS:
            self._turns.labels(kind)
        for kind in INTERRUPTIONS:
            self._interruptions.labels(kind)


def _kind(spoken: bool) -> str:
    return "spoken" if spoken else "typed"


def _safe(count: Callable[[], int]) -> Callable[[], float]:
    """All figures would be missing where one cannot be had."""

    def counted() -> float:
        try:
            return count()
        except Exception as error:  # reported, and not a number in the figures
            log.warning("The documents could not be counted: %s", error)
            return math.nan

    return counted


def _version() -> str:
    try:
        project = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
        return str(tomllib.loads(project)["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"  # an installation without the project's file
