"""The language model of one process: what answers now, and what is on its way to answer.

Whatever answers goes on until another model is ready, and answers that have begun end on the model that they
began with; then its memory is given back. Where both do not fit, the old one is unloaded first and quotations
answer meanwhile. What is on its way can be cancelled; what fails leaves the old one in force. It knows how a
model is opened (`engines.model_opening`), and neither questions nor the page.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from engines.model_opening import GIGABYTE, ModelOpening, gigabytes, weights_of
from rag.cancel import Cancelled, CancelToken, current, scope
from settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from rag.llms import Outlook
    from rag.llms.memory import Farewell

log = logging.getLogger(__name__)

EXTRACTIVE_NAME = "quotations"
RETRY = 30.0  # seconds until a model server that was down is asked again
PACE = 10.0  # seconds over which a download's speed is measured
PATIENCE = 8.0  # seconds, at most, between two looks whether a model is gone
Phase = Literal["looking", "asking", "downloading", "loading", "warming"]
State = Literal["waiting", "loading", "ready", "failed"]


@dataclass(frozen=True)
class InForce:
    """What answers."""

    name: str = EXTRACTIVE_NAME
    where: str = ""  # "CPU", "GPU 0", or a server's address
    llm: BaseChatModel | None = None  # None: quotations


@dataclass(frozen=True)
class Coming:
    """What is on its way."""

    name: str
    why: str = ""  # why it is, or why quotations answer meanwhile
    phase: Phase = "looking"
    done: int = 0  # bytes while it is downloaded, weights while they are loaded
    total: int = 0
    speed: float = 0.0  # bytes a second

    @property
    def seconds_left(self) -> float | None:
        return (self.total - self.done) / self.speed if self.speed > 0 else None


@dataclass(frozen=True)
class Prospect:
    """What choosing a model would mean."""

    name: str
    outlook: Outlook | None  # None: quotations, or a model that does not fit beside the one in force
    instead: str = ""  # why the one in force has to go first


class Pace:
    """Bytes a second over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, done: int) -> float:
        now = time.monotonic()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[0][0] < now - PACE:
            self._seen.popleft()
        begin, first = self._seen[0]
        return (done - first) / (now - begin) if now > begin else 0.0


class LanguageModel:
    """One model in force, at most one on its way. Any thread may call anything.

    `can_ask`: there is a page on which a person can agree to a large download; without one it is refused,
    with the flag that agrees.
    """

    def __init__(self, settings: Settings, *, can_ask: bool = False) -> None:
        self.opening = ModelOpening(settings)
        self._settings, self._can_ask = settings, can_ask
        self._changed = threading.Condition()
        self._one_by_one = threading.Lock()  # two that load would need the memory of both
        self._closed = threading.Event()
        self._in_force = InForce()
        self._coming: Coming | None = None
        self._error: Exception | None = None
        self._wish = ""  # what was begun last
        self._unloaded = (
            ""  # what was in force and is wanted again: at the next question, or if the next fails
        )
        self._token = CancelToken()
        self._agreed = threading.Event()
        self._agreed_bytes = 0
        self._tried = self._used = 0.0
        self._arrivals = 0

    # What is asked of it

    @property
    def in_force(self) -> InForce:
        return self._in_force

    @property
    def coming(self) -> Coming | None:
        return self._coming

    @property
    def error(self) -> Exception | None:
        """Why what was begun last is not in force; None where it is, or is on its way."""
        return self._error

    @property
    def asking(self) -> int:
        """Bytes of a download that waits for consent."""
        coming = self._coming
        return coming.total if coming and coming.phase == "asking" else 0

    @property
    def unloaded(self) -> str:
        """What was in force and is loaded again at the next question; empty if nothing."""
        return self._unloaded

    @property
    def state(self) -> State:
        if self._coming:
            return "loading"
        if not self._wish:
            return "waiting"
        return "failed" if self._error and self._in_force.llm is None else "ready"

    def ready(self) -> BaseChatModel | None:
        """The model if it is there, without waiting; None: quotations."""
        return self._in_force.llm

    def get(self) -> BaseChatModel | None:
        """The model; waits for what is on its way, and raises what made it fail if there is no other."""
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: self._coming is None)
            if self._error is not None and self._in_force.llm is None:
                raise self._error.with_traceback(None)
            return self._in_force.llm

    def wake(self) -> None:
        """A question comes: load again what idleness has unloaded, ask a server again that was down."""
        with self._changed:
            self._used = time.monotonic()
            if self._coming:
                return
            if self._unloaded:
                minutes = f"{self._settings.idle_unload:g} minutes"
                self._begin(self._unloaded, why=f"It was unloaded after {minutes} without a question.")
            elif getattr(self._error, "transient", False) and self._used - self._tried > RETRY:
                self._tried = self._used
                self._begin(self._wish)

    def notices(self) -> list[str]:
        """What a person should know about the answer that comes."""
        coming = self._coming
        if coming and coming.phase == "asking":
            return [f"{coming.name} is a download of {gigabytes(coming.total)} that waits for your consent."]
        if self._in_force.llm is not None or not self._can_ask:  # elsewhere it is waited for
            return []
        if coming:
            name = "The language model" if coming.name == "auto" else coming.name
            why = f" {coming.why}" if coming.why else ""
            return [f"{name} is still loading; this answer quotes the documents.{why}"]
        return [f"{self._error} This answer quotes the documents."] if self._error else []

    # What a person decides

    def start(self) -> None:
        """Open what the settings wish, in the background; once."""
        with self._changed:
            if not self._wish:
                self._begin(self._settings.llm)

    def look(self, name: str) -> Prospect:
        """What `choose` would mean; takes seconds. Raises LLMError for what cannot be had."""
        from rag.llms import EXTRACTIVE, DoesNotFit

        name = self.opening.resolve(name)
        if name == EXTRACTIVE:
            return Prospect(EXTRACTIVE, None)
        try:
            return Prospect(name, self.opening.outlook(name))
        except DoesNotFit as error:
            if weights_of(self._in_force.llm) is None:
                raise
            return Prospect(name, None, str(error))

    def choose(self, name: str, *, agreed: int = 0) -> None:
        """Open another model; what answers goes on. What is on its way is cancelled.

        agreed: bytes that the person agrees to download.
        """
        from rag.llms import EXTRACTIVE

        with self._changed:
            in_force = name == self._in_force.name
            if name == EXTRACTIVE:
                self._unloaded = ""  # nothing is to be loaded again
                in_force = self._in_force.llm is None
            if in_force and self._coming is None:
                self._wish, self._error = name, None
                return
            self._begin(name, agreed=agreed)

    def agree(self) -> None:
        self._agreed.set()

    def cancel(self) -> None:
        """Leave what is on its way; what answers stays."""
        with self._changed:
            self._token.cancel()
            self._agreed.set()
            self._coming = None
            self._changed.notify_all()

    def close(self) -> None:
        self._closed.set()
        self.cancel()

    # How one comes

    def _begin(self, wish: str, *, why: str = "", agreed: int = 0, error: Exception | None = None) -> None:
        with self._changed:
            self.cancel()
            self._token, self._agreed, self._agreed_bytes = CancelToken(), threading.Event(), agreed
            self._wish, self._coming, self._error = wish, Coming(wish, why), error
            arguments = (wish, self._token, self._agreed)
        threading.Thread(target=self._run, args=arguments, name=f"open {wish}", daemon=True).start()

    def _run(self, wish: str, token: CancelToken, agreed: threading.Event) -> None:
        from rag.llms.memory import give_back

        with self._one_by_one:
            failed: Exception | None = None
            try:
                with scope(token):
                    self._arrive(self._open(wish, agreed), token)
                    return
            except Cancelled:
                pass
            except Exception as error:  # said in the page, and raised in whoever waits for it
                log.debug("%s could not be opened", wish, exc_info=True)
                failed = _bare(error)
            give_back()  # what was half loaded, before the old one needs its room
            with self._changed:  # a question that comes in between would begin the old one without the reason
                if failed is not None:
                    self._fail(failed, token)
                self._bring_back(token)

    def _open(self, wish: str, agreed: threading.Event) -> InForce:
        from rag.llms import EXTRACTIVE, DoesNotFit

        current().raise_if_cancelled()
        name = self.opening.resolve(wish)
        self._tell(name=name)
        if name == EXTRACTIVE:
            return InForce()
        try:
            return self._prepare(name, agreed)
        except DoesNotFit as error:
            old, leaving = self._in_force.name, self._unload()
            if leaving is None:
                raise
            log.warning("%s %s is unloaded first.", error, old)
        self._tell(why=f"It does not fit beside {old}, which was unloaded first.")
        _wait_until_gone(leaving)
        return self._prepare(name, agreed)

    def _prepare(self, name: str, agreed: threading.Event) -> InForce:
        """Look, ask, fetch, load, warm."""
        found = self.opening.outlook(name)
        if found.download_bytes:
            self._consent(name, found.download_bytes, agreed)
            self._tell(phase="downloading", done=0, total=found.download_bytes)
            pace = Pace()
            self.opening.fetch(
                name, lambda done, total: self._tell(done=done, total=total, speed=pace.at(done))
            )
        self._tell(phase="loading", done=0, total=0, speed=0.0)
        llm = self.opening.load(name, lambda done, total: self._tell(done=done, total=total))
        self._tell(phase="warming", done=0, total=0)
        self.opening.warm(llm)
        return InForce(name, found.where, llm)

    def _consent(self, name: str, size: int, agreed: threading.Event) -> None:
        if size <= max(GIGABYTE, self._agreed_bytes) or self._settings.download:
            return
        if not self._can_ask:
            from rag.llms import ModelUnavailable

            raise ModelUnavailable(
                f"{name} is a download of {gigabytes(size)}. Add --download to agree to it, "
                "or choose another one with --llm."
            )
        self._tell(phase="asking", total=size)
        agreed.wait()
        current().raise_if_cancelled()

    def _tell(self, **changes: Any) -> None:
        """Say how far it is; a thread that was cancelled meanwhile says nothing."""
        with self._changed:
            if self._coming and not current().cancelled:
                self._coming = replace(self._coming, **changes)

    def _arrive(self, found: InForce, token: CancelToken) -> None:
        with self._changed:
            token.raise_if_cancelled()
            leaving = _farewell(self._in_force)
            self._in_force, self._coming, self._unloaded = found, None, ""
            self._arrivals += 1
            self._used = time.monotonic()
            number = self._arrivals
            self._changed.notify_all()
        if leaving is not None:
            threading.Thread(
                target=_wait_until_gone, args=(leaving,), name="free the old model", daemon=True
            ).start()
        if self._settings.idle_unload and weights_of(found.llm) is not None:
            threading.Thread(
                target=self._watch_idleness, args=(number,), name="unload the idle model", daemon=True
            ).start()

    def _fail(self, error: Exception, token: CancelToken) -> None:
        with self._changed:
            if token is self._token and not token.cancelled:
                self._error, self._coming = error, None
                if self._can_ask:  # elsewhere whoever waits for the model says it
                    log.warning("%s %s", error, f"Answers come from {self._in_force.name}.")
                self._changed.notify_all()

    def _bring_back(self, token: CancelToken) -> None:
        """What had to go for one that did not come answers again."""
        with self._changed:
            if token is not self._token or self._closed.is_set():
                return
            back, self._unloaded = self._unloaded, ""
            if back and back != self._wish:
                self._begin(back, why=f"{self._wish} did not come.", error=self._error)

    # How one goes

    def _unload(self) -> Farewell | None:
        """Quotations answer; None where there are no weights to free. Answers that run go on."""
        with self._changed:
            leaving = _farewell(self._in_force)
            if leaving is not None:
                self._unloaded = self._in_force.name
                self._in_force = InForce()
            return leaving

    def _writes(self) -> bool:
        """Whether the model is at an answer; its idle time counts from the end of that."""
        writing = bool(getattr(self._in_force.llm, "writing", False))
        if writing:
            self._used = time.monotonic()
        return writing

    def _watch_idleness(self, number: int) -> None:
        """Until the model that arrived as the `number`th is unloaded, or another one has arrived."""
        idle = self._settings.idle_unload * 60
        with self._changed:
            while (left := self._used + idle - time.monotonic()) > 0 or self._coming or self._writes():
                self._changed.wait(left if left > 0 else 1.0)
                if self._arrivals != number or self._closed.is_set():
                    return
            if self._arrivals != number:
                return
            log.info("%s is unloaded: no question for %g s", self._in_force.name, idle)
            leaving = self._unload()
        if leaving is not None:
            _wait_until_gone(leaving)


def _farewell(leaving: InForce) -> Farewell | None:
    from rag.llms.memory import Farewell

    weights = weights_of(leaving.llm)
    return None if weights is None else Farewell(weights)


def _wait_until_gone(leaving: Farewell) -> None:
    """Wait for the answers that still run on a model, then give its memory back; can be cancelled."""
    from rag.llms.memory import give_back

    pause = PATIENCE / 16
    while not leaving.wait(pause):
        current().raise_if_cancelled()
        give_back()  # it may be held by a circle of references; looking for those stops every thread a while
        pause = min(2 * pause, PATIENCE)
    give_back()


def _bare(error: Exception) -> Exception:
    """An error without its traceback, whose frames would keep a half-loaded model alive."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error
