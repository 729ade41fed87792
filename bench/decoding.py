"""How fast a language model writes, and what memory it takes: our engine beside transformers' plain pipeline.

Used with random weights (`bench.shapes`). It does not know which model is measured, nor on what device.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, cycle, islice
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage

from bench.memory import Memory, gigabytes, synchronize
from rag.llms.batch import Batch, Seat
from rag.llms.choosing import Sampling
from rag.llms.errors import GenerationFailed
from rag.llms.plan import where
from rag.llms.prefixes import in_common
from rag.llms.ragged import prepare
from rag.llms.render import render
from rag.llms.run import Run
from rag.llms.writers import free_memory, open_writer

if TYPE_CHECKING:
    from rag.llms.load import Loaded

Figures = dict[str, Any]
DRAWN = Sampling(temperature=1.0)
GREEDY = Sampling()
PENALTY = 1.1  # of the tutorials' pipeline
LAST = 64  # tokens that are left to write when the context's memory is read


@dataclass(frozen=True)
class Work:
    """How much is measured."""

    tokens: int = 200  # of each answer
    together: tuple[int, ...] = (1, 4, 16)  # requests at once
    context: int = 8192  # tokens of the context whose memory is measured
    alone: int = 3  # answers of which the single-stream figures are the mean

    @property
    def prompts(self) -> int:
        """Different ones that are needed: no figure profits from a prompt that is known already."""
        return 1 + self.alone + sum(self.together)


@dataclass(frozen=True)
class Written:
    """One answer, and when it was asked for, its first token came, and it ended (seconds on one clock)."""

    tokens: list[int]
    asked: float
    first: float
    end: float


class NoLookup(Batch):
    """Our engine without guesses."""

    def _worth_it(self, writing: Sequence[Seat]) -> dict[Seat, list[int]]:
        return {}


def measure_llm(
    loaded: Loaded, asked: Sequence[Sequence[BaseMessage]], work: Work, memory: Memory
) -> Figures:
    """All figures of one loaded model; `memory` was begun before it was loaded."""
    loaded.model.generation_config.eos_token_id = None  # no answer ends before its last token
    weights = memory.taken()
    own_attention = loaded.model.config._attn_implementation
    if not isinstance(open_writer(loaded), Batch):
        raise GenerationFailed("Parley writes only one answer at a time with this model; the log says why.")
    prompts = [_ids(loaded, messages) for messages in asked]
    figures: Figures = {"prompt_tokens": round(statistics.mean(map(len, prompts)))}
    figures |= _memory(loaded, prompts, work, memory, weights)
    figures |= _together(loaded, prompts, work)
    with _attention(loaded.model, own_attention):
        texts = [_text(loaded, messages) for messages in asked]
        pipeline, written = _pipeline(loaded, texts, work)
    figures |= pipeline
    figures |= _greedy(loaded, prompts, work, written)
    return figures | _ratios(figures, work)


def _text(loaded: Loaded, messages: Sequence[BaseMessage]) -> str:
    return render(loaded.tokenizer, messages).text


def _ids(loaded: Loaded, messages: Sequence[BaseMessage]) -> list[int]:
    ids: list[int] = loaded.tokenizer(_text(loaded, messages), add_special_tokens=False)["input_ids"]
    return ids


@contextmanager
def _attention(model: Any, name: str) -> Iterator[None]:
    """The model as transformers loads it; ours again afterwards."""
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        prepare(model)


# Memory


def _memory(
    loaded: Loaded, prompts: Sequence[list[int]], work: Work, memory: Memory, weights: int
) -> Figures:
    """What the plan says of weights and of a context, and what they take."""
    facts, context = loaded.plan.facts, min(work.context, loaded.window)
    planned = sum(loaded.plan.weights.values())
    memory.forget_peak()
    full = _filled(loaded, prompts, context, memory)
    return {
        "placed": where(loaded.plan),
        "quantized": loaded.plan.quantize,
        "window_tokens": loaded.window,
        "weights_gb": gigabytes(weights),
        "weights_planned_gb": gigabytes(planned),
        "context_tokens": context,
        "with_context_gb": gigabytes(full),
        "with_context_planned_gb": gigabytes(planned + facts.cache(context)),
        "peak_gb": gigabytes(memory.peak()),
        "peak_planned_gb": gigabytes(planned + facts.cache(context) + facts.reading(context)),
    }


def _filled(loaded: Loaded, prompts: Sequence[list[int]], context: int, memory: Memory) -> int:
    """Bytes taken while an answer stands still whose prompt and room for writing are the whole context."""
    tokens = islice(cycle(chain.from_iterable(prompts)), context - LAST)
    run = Run(list(tokens), LAST, DRAWN)
    run.looped = False
    Batch(loaded.model, (), free_memory).start(run)
    with run:
        next(iter(run))
        run.token.hold()
        return memory.taken()


# Speed


def _write(writer: Batch, prompts: Sequence[list[int]], sampling: Sampling, limit: int) -> list[Written]:
    """An answer to each prompt, all asked for at once."""
    runs = [Run(prompt, limit, sampling) for prompt in prompts]
    synchronize()
    asked = time.perf_counter()
    with ThreadPoolExecutor(len(runs)) as pool:
        try:
            for run in runs:
                run.looped = False  # random weights may repeat themselves; they are to write on
                writer.start(run)
            return list(pool.map(lambda run: _read(run, asked), runs))
        finally:  # also on Ctrl-C: without readers the engine stops
            for run in runs:
                run.token.cancel()


def _read(run: Run, asked: float) -> Written:
    with run:
        arrivals = [time.perf_counter() for _ in run]  # a token has left the GPU when it is read here
    return Written(run.written, asked, arrivals[0], arrivals[-1])


def _warm(writer: Batch, prompt: list[int], count: int, sampling: Sampling) -> Batch:
    """As many answers at once as are measured next, so that nothing is done there for the first time."""
    _write(writer, [prompt] * count, sampling, 8)
    return writer


def _together(loaded: Loaded, prompts: Sequence[list[int]], work: Work) -> Figures:
    """Drawn answers to different questions, so many at once."""
    figures: Figures = {}
    rest = list(prompts[1 + work.alone :])
    for count in work.together:
        writer = _warm(Batch(loaded.model, (), free_memory), prompts[0], count, DRAWN)
        some, rest = rest[:count], rest[count:]
        written = _write(writer, some, DRAWN, work.tokens)
        firsts = [each.first - each.asked for each in written]
        figures |= {
            f"at_once_{count}_first_token_s": _seconds(statistics.median(firsts)),
            f"at_once_{count}_last_first_token_s": _seconds(max(firsts)),
            f"at_once_{count}_tokens_per_s": _pace(written),
        }
    return figures


def _greedy(loaded: Loaded, prompts: Sequence[list[int]], work: Work, theirs: Sequence[Written]) -> Figures:
    """Greedy answers one after the other, with guesses from the prompt and without."""
    figures: Figures = {}
    some = prompts[1 : 1 + work.alone]
    for name, kind in (("greedy", Batch), ("greedy_no_lookup", NoLookup)):
        writer = _warm(kind(loaded.model, (), free_memory), prompts[0], 1, GREEDY)
        ours = [_write(writer, [prompt], GREEDY, work.tokens)[0] for prompt in some]
        figures |= _single(name, ours)
        pairs = zip(ours, theirs, strict=True)
        figures[f"{name}_same_tokens"] = [in_common(mine.tokens, other.tokens) for mine, other in pairs]
    return figures


# transformers' pipeline, as the tutorials call it


class _Watch:
    """A streamer that notes when the prompt and each token after it came."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.times: list[float] = []

    def put(self, value: Any) -> None:
        if self.times:  # the prompt comes first
            self.tokens += value.flatten().tolist()
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


def _pipeline(loaded: Loaded, texts: Sequence[str], work: Work) -> tuple[Figures, list[Written]]:
    """Greedy, with the tutorials' penalty and without; the answers without."""
    from transformers import pipeline

    pipe = pipeline("text-generation", model=loaded.model, tokenizer=loaded.tokenizer)

    def write(text: str, limit: int, penalty: float) -> Written:
        watch = _Watch()
        synchronize()
        asked = time.perf_counter()
        pipe(
            text,
            max_new_tokens=limit,
            do_sample=False,
            repetition_penalty=penalty,
            return_full_text=True,
            streamer=watch,
        )
        return Written(watch.tokens, asked, watch.times[1], watch.times[-1])

    figures: Figures = {}
    written: list[Written] = []
    for name, penalty in (("pipeline", PENALTY), ("pipeline_no_penalty", 1.0)):
        write(texts[0], 8, penalty)
        written = [write(text, work.tokens, penalty) for text in texts[1 : 1 + work.alone]]
        figures |= _single(name, written)
    return figures, written


# Figures


def _single(name: str, written: Sequence[Written]) -> Figures:
    return {
        f"{name}_first_token_s": _seconds(statistics.median(each.first - each.asked for each in written)),
        f"{name}_tokens_per_s": round(statistics.mean(_pace([each]) for each in written), 2),
    }


def _pace(written: Sequence[Written]) -> float:
    """Tokens a second of all together, from the asking to the last token: with the prompts' reading."""
    seconds = max(each.end for each in written) - min(each.asked for each in written)
    return round(sum(len(each.tokens) for each in written) / seconds, 2)


def _seconds(value: float) -> float:
    return round(value, 4)


def _ratios(figures: Figures, work: Work) -> Figures:
    def times(one: str, other: str) -> float:
        mine, its = (float(figures[f"{name}_tokens_per_s"]) for name in (one, other))
        return round(mine / its, 2)

    first, last = f"at_once_{min(work.together)}", f"at_once_{max(work.together)}"
    return {
        f"{last}_times_{first.removeprefix('at_once_')}": times(last, first),
        f"{first}_times_pipeline": times(first, "pipeline"),
        f"{last}_times_pipeline": times(last, "pipeline"),
        "greedy_times_pipeline": times("greedy", "pipeline_no_penalty"),
        "greedy_no_lookup_times_pipeline": times("greedy_no_lookup", "pipeline_no_penalty"),
    }
