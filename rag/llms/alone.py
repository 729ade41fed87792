"""One answer after the other, by transformers' own `generate`: for models whose attention is not replaceable.

Whoever comes waits, in the order they asked. It does not know text, nor which models it is for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from rag.llms.choosing import Sampling
from rag.llms.errors import Busy, explained, is_memory
from rag.llms.memory import give_back
from rag.llms.run import PATIENCE, Run, generation_thread
from rag.telling import Queued

LOOK = 0.1  # seconds between two looks at those who wait


class Alone:
    """Writes with one model; each answer has a thread.

    checkpoints: modules before which an answer may be stopped.
    """

    def __init__(
        self, model: Any, ends: Sequence[int], checkpoints: Sequence[Any], *, patience: float = PATIENCE
    ) -> None:
        self.model = model
        self._ends = frozenset(ends)
        self._checkpoints = checkpoints
        self._patience = patience
        self._changed = threading.Condition()
        self._line: list[Run] = []

    def start(self, run: Run) -> None:
        with self._changed:
            self._line.append(run)
            if len(self._line) > 1:
                run.inform(Queued(len(self._line) - 1, None))
        generation_thread(partial(self._write, run))

    @property
    def busy(self) -> bool:
        return bool(self._line)

    def _write(self, run: Run) -> None:
        error: BaseException | None = None
        try:
            if self._comes_to_turn(run):
                self._generate(run)
        except BaseException as failed:  # reported: the reader raises it
            error = failed.with_traceback(None) if is_memory(failed) else failed
        if error is not None and is_memory(error):
            give_back()
        with self._changed:
            self._line.remove(run)
            self._changed.notify_all()
        run.end(error and explained(error))

    def _comes_to_turn(self, run: Run) -> bool:
        """Wait for it; False where it was cancelled before."""
        with self._changed:
            while self._line[0] is not run and not run.over:
                self._changed.wait(LOOK)
                if self._line[0] is not run and time.monotonic() - run.asked > self._patience:
                    raise Busy(1)
        return not run.over

    def _generate(self, run: Run) -> None:
        import torch
        from transformers import StoppingCriteriaList

        ids = torch.tensor([run.prompt], device=self.model.device)

        def checkpoint(module: Any, args: Any) -> None:
            """Before each part of each layer: stops, or waits, in the middle of the prompt's own pass."""
            run.token.checkpoint()

        def stopping(input_ids: Any, scores: Any, **_: Any) -> Any:
            new = input_ids[0, len(run.prompt) + len(run.written) :].tolist()
            run.write(new, self._ends)
            run.token.wait_while_held()
            return torch.full((1,), run.over, device=input_ids.device, dtype=torch.bool)

        with torch.inference_mode(), ExitStack() as hooks:
            for module in self._checkpoints:
                hooks.callback(module.register_forward_pre_hook(checkpoint).remove)
            self.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                stopping_criteria=StoppingCriteriaList([stopping]),
                **arguments(run.sampling, len(run.prompt)),
                max_new_tokens=run.limit,
            )


def arguments(sampling: Sampling, prompt_tokens: int) -> dict[str, Any]:
    """Those of `generate`; only such as act, so that it warns of none."""
    from transformers import LogitsProcessorList
    from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

    options: dict[str, Any] = {"do_sample": sampling.temperature > 0}
    if sampling.temperature > 0:
        options |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
    if sampling.repetition_penalty != 1.0:
        penalty = RepetitionPenaltyLogitsProcessor(
            sampling.repetition_penalty, prompt_ignore_length=prompt_tokens
        )
        options["logits_processor"] = LogitsProcessorList([penalty])
    return options
