"""Settings → a language model, step by step: what it would mean, its files, its weights, its first word.

It keeps nothing: when a step is taken, and what answers meanwhile, is `engines.language_model`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from rag.llms import Outlook

GIGABYTE = 1_000_000_000
Told = Callable[[int, int], None]  # done, of how many


@dataclass(frozen=True)
class Offer:
    """A model that makes sense here."""

    name: str
    note: str


class ModelOpening:
    """The steps, each by the model's name."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def resolve(self, wish: str) -> str:
        """What `auto` is on this machine; any other name is itself."""
        from rag.llms import resolve

        return resolve(wish, offline=self.settings.offline)

    def outlook(self, name: str) -> Outlook:
        """Raises LLMError for what could not be opened after a download either."""
        from rag.llms import outlook

        return outlook(name, **self._how())

    def fetch(self, name: str, told: Told) -> None:
        """Download what is not on this disk; `told`: bytes."""
        from rag.llms import find

        settings = self.settings
        find(
            name,
            token=self._token,
            offline=settings.offline,
            own_code=settings.trust_remote_code,
            told=told,
        )

    def load(self, name: str, told: Told) -> BaseChatModel:
        """`told`: weights, of those that the model has."""
        from rag.llms import open_llm
        from rag.llms.loading_bar import watched

        settings = self.settings
        with watched(told):
            return open_llm(
                name,
                **self._how(),
                temperature=settings.temperature,
                top_p=settings.top_p,
                top_k=settings.top_k,
                repetition_penalty=settings.repetition_penalty,
                max_new_tokens=settings.max_new_tokens,
                max_seconds=settings.max_seconds or None,
            )

    def warm(self, llm: BaseChatModel) -> None:
        """One first word: what is compiled, allocated or broken shows now, and not at the first question.

        A server is left alone: it is warm, or its first word is somebody's bill.
        """
        if weights_of(llm) is not None:
            pieces: Any = llm.stream("Hello.")
            with closing(pieces):
                next(pieces, None)

    def _how(self) -> dict[str, Any]:
        return {
            "url": self.settings.llm_url,
            "key": self.settings.llm_key.get_secret_value() or None,
            "quantize": self.settings.quantize,
            "gpu_layout": self.settings.gpu_layout,
            "trust_remote_code": self.settings.trust_remote_code,
            "token": self._token,
            "offline": self.settings.offline,
        }

    @property
    def _token(self) -> str | None:
        return self.settings.hf_token.get_secret_value() or None

    # What a person is told

    @property
    def choices(self) -> str:
        """What PARLEY_LLM can be here, as a sentence goes on."""
        if self.settings.offline:
            return (
                "a folder, a GGUF file, the name of a model that is on this disk, smollm2, or remote for a "
                "server on this machine; without PARLEY_OFFLINE, to any model's name"
            )
        return "a model's name, a folder, a GGUF file, smollm2, or remote"

    def describe(self) -> tuple[str, str]:
        """What will answer and where it will be, and what to do for something better; loads nothing."""
        from rag.llms import EXTRACTIVE, LLMError

        name = self.resolve(self.settings.llm)
        if name == EXTRACTIVE:
            return "quotations, without a language model", f"Set PARLEY_LLM to {self.choices}."
        try:
            found = self.outlook(name)
        except LLMError as error:
            return f"{name} cannot be had, so quotations", str(error)
        size = f", {gigabytes(found.weights_bytes)}" if found.weights_bytes else ""
        what = f"{found.name} on {found.where}{size}, window of {found.window} tokens"
        if found.download_bytes > GIGABYTE and not self.settings.download:
            return what, f"A download of {gigabytes(found.download_bytes)}: agree with --download."
        return what, ""

    def offers(self) -> list[Offer]:
        """What can be chosen here without looking anything up, what is at hand first."""
        from rag.llms import EXTRACTIVE, SMOLLM2, cached_models, suggested

        settings = self.settings
        here = {name: f"on this disk, {gigabytes(size)}" for size, name in cached_models()}
        found = {EXTRACTIVE: "quotes the documents, invents nothing"}
        if settings.llm not in ("auto", EXTRACTIVE):
            found[settings.llm] = "from the settings"
        if settings.llm_url:
            found["remote"] = settings.llm_url
        found |= {name: note for name, note in here.items() if name not in found}
        if not settings.offline:
            found |= {name: note for name, note in suggested().items() if name not in found}
        found.setdefault(SMOLLM2, "comes with Parley; very small, often wrong")
        return [Offer(name, note) for name, note in found.items()]


def weights_of(llm: BaseChatModel | None) -> Any:
    """The weights of a model in this process; None for a server's, and where there is no model."""
    return getattr(getattr(llm, "loaded", None), "model", None)


def gigabytes(size: int) -> str:
    return f"{size / GIGABYTE:.1f} GB" if size >= GIGABYTE / 10 else f"{max(1, round(size / 1e6))} MB"
