"""The language model as the page needs it: what answers, what is on its way, what could, each in words.

It decides nothing: the life of a model is `engines.language_model`'s, and who may choose is the page's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.language_model import EXTRACTIVE_NAME, Coming, LanguageModel, Prospect
from engines.model_opening import gigabytes

if TYPE_CHECKING:
    from ui.services import EngineState, ModelOffer, ModelProspect, ModelState


class PageModels:
    """What `ui.services.Models` asks for, and the model's part of the line that says what is active."""

    def __init__(self, llm: LanguageModel) -> None:
        self._llm = llm

    def state(self) -> ModelState:
        from ui.services import ModelState

        now, coming = self._llm.in_force, self._llm.coming
        return ModelState(
            now.name,
            now.where,
            coming=coming.name if coming else "",
            text=_how_far(coming) if coming else "",
            done=coming.done if coming else 0,
            total=coming.total if coming else 0,
            asks=self._llm.asking,
            error=str(self._llm.error or ""),
        )

    def offers(self) -> list[ModelOffer]:
        from ui.services import ModelOffer

        return [ModelOffer(offer.name, offer.note) for offer in self._llm.opening.offers()]

    def look(self, name: str) -> ModelProspect:
        from rag.llms import EXTRACTIVE
        from ui.services import ModelProspect

        found, now = self._llm.look(name), self._llm.in_force
        settled = self._llm.state == "ready" and not self._llm.unloaded and not self._llm.error
        if settled and found.name == (now.name if now.llm else EXTRACTIVE):
            return ModelProspect(found.name, "It answers already.", 0, in_force=True)
        size = found.outlook.download_bytes if found.outlook else 0
        return ModelProspect(found.name, _meaning(found, now.name), size)

    def choose(self, name: str, agreed: int) -> None:
        self._llm.choose(name, agreed=agreed)

    def agree(self) -> None:
        self._llm.agree()

    def cancel(self) -> None:
        self._llm.cancel()

    def line(self) -> EngineState:
        from ui.services import EngineState

        now, coming, error = self._llm.in_force, self._llm.coming, self._llm.error
        if coming:
            name, why = ("a language model" if coming.name == "auto" else coming.name), _how_far(coming)
            if now.llm is not None:
                why = f"{name} is on its way. {why} {now.name} answers until then."
                name = f"{now.name}, soon {name}"
            else:
                why = f"{why} Quotations until then."
            return EngineState("llm", name, "asking" if coming.phase == "asking" else "loading", why)
        change = f"Choose one in the settings of this page, or set PARLEY_LLM to {self._llm.opening.choices}."
        if self._llm.state == "waiting":
            return EngineState("llm", "a language model", "loading", "quotations until it is ready")
        if now.llm is None and error is not None:
            return EngineState("llm", EXTRACTIVE_NAME, "failed", str(error), change)
        if trouble := getattr(now.llm, "trouble", ""):
            why = f"{trouble} The next question asks the server again."
            return EngineState("llm", now.name, "failed", why, change)
        return EngineState("llm", now.name, "ready", self._why(), change)

    def _why(self) -> str:
        now, error = self._llm.in_force, self._llm.error
        if error is not None:
            return f"{error} {now.name} goes on answering."
        if self._llm.unloaded:
            return f"{self._llm.unloaded} was unloaded; the next question loads it again."
        if now.llm is None:
            return "no language model is set or at hand"
        return str(getattr(getattr(now.llm, "loaded", None), "notice", ""))  # it runs otherwise than planned


def _how_far(coming: Coming) -> str:
    why = f"{coming.why} " if coming.why else ""
    match coming.phase:
        case "looking":
            return f"{why}Looking at what it needs."
        case "asking":
            return f"It is a download of {gigabytes(coming.total)}, which waits for your consent."
        case "downloading":
            return f"{why}Downloading: {_downloaded(coming)}."
        case "loading":
            return f"{why}Loading: {_percent(coming)}." if coming.total else f"{why}Loading."
        case "warming":
            return f"{why}Writing its first word."


def _percent(coming: Coming) -> str:
    return f"{100 * coming.done // coming.total} %"


def _downloaded(coming: Coming) -> str:
    text = f"{gigabytes(coming.done)} of {gigabytes(coming.total)}"
    if coming.speed > 0:
        text += f", {gigabytes(int(coming.speed))} a second"
    if (left := coming.seconds_left) is not None:
        text += f", {_duration(left)} left"
    return text


def _duration(seconds: float) -> str:
    """As one says it: a number that changes every second would promise too much."""
    minutes = round(seconds / 60)
    if seconds < 45:
        return "less than a minute"
    if minutes <= 1:
        return "about a minute"
    return f"about {minutes} minutes" if minutes < 90 else f"about {round(minutes / 60)} hours"


def _meaning(found: Prospect, now: str) -> str:
    """What choosing it would mean."""
    outlook = found.outlook
    if outlook is None and not found.instead:
        return "Answers quote the documents, without a language model."
    if outlook is None:
        return (
            f"It does not fit beside {now}. {found.instead} If you choose it all the same, {now} is unloaded "
            f"first, and quotations answer meanwhile; if it does not fit then either, {now} comes back."
        )
    weights = f" and takes {gigabytes(outlook.weights_bytes)}" if outlook.weights_bytes else ""
    text = f"It runs on {outlook.where}{weights}, with a window of {outlook.window:,} tokens."
    if not outlook.download_bytes:
        return f"{text} Nothing is downloaded."
    return f"{text} It is a download of {gigabytes(outlook.download_bytes)}, to {_cache()}."


def _cache() -> str:
    from huggingface_hub import constants

    return str(constants.HF_HUB_CACHE)
