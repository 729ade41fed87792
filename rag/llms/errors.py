"""What can go wrong with a language model, in words for a person. It does not know how an error is shown."""

from __future__ import annotations

import logging

NO_MEMORY = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
log = logging.getLogger(__name__)


class LLMError(Exception):
    """A language model failed; the message says what happened and what to do next."""


class ModelUnavailable(LLMError):
    """The model cannot be opened: not found, gated, no network, no package, no disk space."""


class DoesNotFit(ModelUnavailable):
    """The model needs more memory than there is; the message says what would fit."""


class PromptTooLong(LLMError):
    """The prompt has more tokens than the model's window."""

    def __init__(self, tokens: int, window: int) -> None:
        super().__init__(
            f"The prompt has {tokens} tokens and the model takes {window}. "
            "Ask for fewer passages, a shorter history or smaller chunks."
        )
        self.tokens = tokens
        self.window = window


class GenerationFailed(LLMError):
    """The model was opened and failed while it wrote."""


class Busy(LLMError):
    """Too many people ask at once."""

    def __init__(self, writing: int) -> None:
        others = "one answer" if writing == 1 else f"{writing} answers"
        super().__init__(
            f"The model is busy: {others} being written, and it was not your turn in time. "
            "Ask again in a minute."
        )


def is_memory(error: BaseException) -> bool:
    """Whether the memory ran out, of a GPU or of the machine."""
    import torch

    said = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in said for sign in NO_MEMORY)


def explained(error: BaseException) -> BaseException:
    """An error of the thread that generates, as the reader should see it."""
    if not isinstance(error, Exception) or isinstance(error, LLMError):  # `Cancelled` is no Exception
        return error
    if is_memory(error):
        failed = GenerationFailed(
            "The model ran out of memory while it wrote. Ask for fewer passages or fewer new tokens, "
            "close other programs on the GPU, or choose a smaller model."
        )
    else:
        log.error("generation failed", exc_info=error)
        failed = GenerationFailed(
            f"The model failed while it wrote ({type(error).__name__}). The log has the details; "
            "try again, or choose another model."
        )
    failed.__cause__ = error
    return failed


class ServerError(LLMError):
    """The OpenAI-compatible server could not be reached, refused, or sent something else than an answer.

    status: HTTP's, None where there was no answer. detail: what the server said, one short line.
    transient: the same request may succeed later: the server is down, starting or busy.
    retry_after: seconds after which that is worth a try at once; None: it is not.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        detail: str = "",
        *,
        transient: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail
        self.transient = transient
        self.retry_after = retry_after
