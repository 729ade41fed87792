"""Measures how SmolLM2 writes: against transformers' plain greedy decoding, several at once, cancelled.

    python -m scripts.measure_decoding FOLDER [--questions 50] [--dtype float32] [--penalty 1.0]

FOLDER holds `questions.jsonl`, in the form that `eval` reads, and the documents in `corpus/`. The prompts are
those that the page would ask with. Each answer is written by `generate` and by us, now the one first, now the
other.
"""

from __future__ import annotations

import argparse
import copy
import gc
import random
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil  # type: ignore[import-untyped]
from langchain_core.messages import BaseMessage

from bench.prompts import Recorder
from rag.chains import RetrievalQA
from rag.llms.alone import Alone
from rag.llms.batch import Batch
from rag.llms.choosing import Sampling
from rag.llms.hub import SMOLLM2, bundled
from rag.llms.load import load
from rag.llms.local import LocalChatModel
from rag.llms.ragged import forward
from rag.llms.run import Run
from rag.retriever import HybridRetriever
from rag.telling import News, Queued, listening
from scripts.arguments import question_folder
from scripts.retrieval_sets import Remembered, indexed, read_folder

LIMIT = 96  # tokens of an answer
TOGETHER = 8  # people who ask at once
CANCELS = 100
QUOTED = 0.5  # share of an answer's runs of four tokens that stand in the prompt, from which it quotes


def prompts(folder: Path, count: int) -> list[list[BaseMessage]]:
    """What the model would be asked for some of the questions, evenly chosen."""
    given, embedder, recorder = read_folder(folder), Remembered(), Recorder()
    rows = given.rows[:: max(1, len(given.rows) // count)][:count]
    with indexed(given.documents, embedder) as kept:
        retriever = HybridRetriever(store=kept.store, embedder=embedder, floor=0)
        chain = RetrievalQA.from_chain_type(llm=recorder, retriever=retriever)
        for row in rows:
            chain.invoke({"query": row.question})
    return recorder.asked


@dataclass(frozen=True)
class Written:
    """One answer, with the seconds until its first token and from there to its end."""

    tokens: list[int]
    first: float
    rest: float


def write(writer: Any, prompt: Sequence[int], sampling: Sampling) -> Written:
    run, began = Run(prompt, LIMIT, sampling), time.perf_counter()
    writer.start(run)
    arrivals = [time.perf_counter() for _ in run]
    end = time.perf_counter()
    first = arrivals[0] if arrivals else end
    return Written(run.written, first - began, end - first)


def quotes(prompt: Sequence[int], answer: Sequence[int]) -> bool:
    runs = [tuple(answer[n : n + 4]) for n in range(len(answer) - 3)]
    there = {tuple(prompt[n : n + 4]) for n in range(len(prompt) - 3)}
    return bool(runs) and sum(run in there for run in runs) >= QUOTED * len(runs)


def against_plain(ours: Batch, plain: Alone, asked: Sequence[list[int]], sampling: Sampling) -> Iterator[str]:
    """The same text, and the speed, of answers that quote and of the others."""
    pairs: list[tuple[Written, Written, bool]] = []
    for number, prompt in enumerate(asked):
        both = [write(writer, prompt, sampling) for writer in ((ours, plain), (plain, ours))[number % 2]]
        mine, theirs = both if number % 2 == 0 else both[::-1]
        pairs.append((mine, theirs, quotes(prompt, theirs.tokens)))
        print(number, len(prompt), len(mine.tokens), f"{mine.rest:.2f} {theirs.rest:.2f}", file=sys.stderr)
    same = sum(mine.tokens == theirs.tokens for mine, theirs, _ in pairs)
    yield f"the same text: {same} of {len(pairs)}"
    for prompt, (mine, theirs, _) in zip(asked, pairs, strict=True):
        if mine.tokens != theirs.tokens:
            apart = tie(plain, prompt, mine.tokens, theirs.tokens)
            yield f"another text where two logits differ by {apart:.3f}"
    for name, chosen in (("quote", True), ("do not", False)):
        some = [(mine, theirs) for mine, theirs, quoting in pairs if quoting is chosen]
        if not some:
            continue
        speed = [
            sum(len(each[n].tokens) - 1 for each in some) / max(1e-9, sum(each[n].rest for each in some))
            for n in (0, 1)
        ]
        whole = [sum(each[n].rest + each[n].first for each in some) for n in (0, 1)]
        yield (
            f"{len(some)} answers that {name}: {speed[0]:.1f} tokens/s, plain {speed[1]:.1f}, "
            f"{speed[0] / speed[1]:.2f} times; with the prompt's reading {whole[1] / whole[0]:.2f} times"
        )


def tie(plain: Alone, prompt: Sequence[int], one: Sequence[int], other: Sequence[int]) -> float:
    """How far apart the two tokens' logits are at which two texts part."""
    import torch

    at = next(n for n in range(max(len(one), len(other))) if one[n : n + 1] != other[n : n + 1])
    model = plain.model
    with torch.inference_mode():
        logits = model(torch.tensor([[*prompt, *one[:at]]])).logits[0, -1].float()
    (end,) = model.generation_config.eos_token_id[:1]
    first, second = ([*tokens, end][at] for tokens in (one, other))
    return float((logits[first] - logits[second]).abs())


def together(
    models: Sequence[LocalChatModel], known: Sequence[list[BaseMessage]], asked: Sequence[list[BaseMessage]]
) -> Iterator[str]:
    """The same questions one after the other, and by several people in the same second.

    Each way has a model of its own, to which all of the questions are new, and `known` is not.
    """
    for llm in models:
        for messages in known:
            llm.invoke(messages)
    one_by_one, at_once = models
    began = time.perf_counter()
    answers: list[Any] = [one_by_one.invoke(messages) for messages in asked]
    alone_tokens = sum(answer.usage_metadata["output_tokens"] for answer in answers)
    alone = alone_tokens / (time.perf_counter() - began)
    firsts, waits, tokens = [0.0] * len(asked), [0.0] * len(asked), [0] * len(asked)
    start = time.perf_counter()

    def ask(number: int) -> None:
        def listen(news: News) -> None:
            if isinstance(news, Queued) and news.seconds is not None and not waits[number]:
                waits[number] = news.seconds + time.perf_counter() - start

        with listening(listen):
            for chunk in at_once.stream(asked[number]):
                firsts[number] = firsts[number] or (time.perf_counter() - start) * bool(chunk.content)
                if chunk.usage_metadata:
                    tokens[number] = chunk.usage_metadata["output_tokens"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(tokens) / (time.perf_counter() - start)
    errors = [wait / first - 1 for wait, first in zip(waits, firsts, strict=True) if wait]
    yield f"{len(asked)} at once: first tokens after {', '.join(f'{each:.1f}' for each in sorted(firsts))} s"
    yield f"announced against real: {', '.join(f'{error:+.0%}' for error in errors)}"
    yield (
        f"{total:.1f} tokens/s in all, {alone:.1f} one after the other ({total / alone:.2f} times); "
        f"{sum(tokens)} and {alone_tokens} tokens"
    )


def cancelled(batch: Batch, asked: Sequence[list[int]], sampling: Sampling) -> Iterator[str]:
    """Cancels at random moments: passes that came after, and memory."""
    moments, late, delays, levels = random.Random(0), 0, [], []
    for number in range(CANCELS):
        run = Run(asked[number % len(asked)], LIMIT, sampling)
        batch.start(run)
        run.ended.wait(moments.uniform(0, 2))
        passes, began = batch.passes, time.perf_counter()
        run.token.cancel()
        run.ended.wait()
        delays.append(time.perf_counter() - began)
        late += max(0, batch.passes - passes - 1)
        if number % 20 == 19:
            gc.collect()
            levels.append(psutil.Process().memory_info().rss / 1e6)
    yield (
        f"{CANCELS} cancels: {late} passes after the one under way; ended after p50 "
        f"{statistics.median(delays) * 1000:.0f} ms, at most {max(delays) * 1000:.0f} ms"
    )
    yield f"memory after each 20 of them: {', '.join(f'{level:.0f}' for level in levels)} MB"


def overhead(llm: LocalChatModel, asked: Sequence[list[BaseMessage]]) -> Iterator[str]:
    """What a token costs besides its pass: from the logits to the text in the reader's hands."""
    inside, tokens, whole = [0.0], 0, 0.0

    def timed(*args: Any) -> Any:
        began = time.perf_counter()
        try:
            return forward(*args)
        finally:
            inside[0] += time.perf_counter() - began

    with patch("rag.llms.batch.forward", timed):
        for messages in asked:
            began = time.perf_counter()
            answer: Any = llm.invoke(messages)
            whole += time.perf_counter() - began
            tokens += answer.usage_metadata["output_tokens"]
    yield (
        f"our own share: {(whole - inside[0]) / tokens * 1000:.2f} ms a token, the prompt's rendering "
        f"included ({tokens} tokens, {len(asked)} answers)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=question_folder, metavar="FOLDER")
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--penalty", type=float, default=1.0)
    parser.add_argument("--parts", default="plain,together,cancelled,overhead")
    args = parser.parse_args()
    import torch

    asked = prompts(args.folder, args.questions + TOGETHER)
    loaded = load(SMOLLM2, bundled())
    loaded.model.to(getattr(torch, args.dtype))
    plain = Alone(copy.deepcopy(loaded.model), loaded.model.generation_config.eos_token_id, ())
    llm, *pair = (
        LocalChatModel(loaded=loaded, repetition_penalty=args.penalty, max_new_tokens=LIMIT) for _ in range(3)
    )
    ours: Any = llm._writer
    ids = [llm._prompt_ids(messages) for messages in asked]
    sampling = Sampling(repetition_penalty=args.penalty)
    for writer in (ours, plain):
        write(writer, ids[0], sampling)
    parts = {
        "plain": lambda: against_plain(ours, plain, ids[: args.questions], sampling),
        "together": lambda: together(pair, asked[:2], asked[-TOGETHER:]),
        "cancelled": lambda: cancelled(ours, ids, sampling),
        "overhead": lambda: overhead(llm, asked[:10]),
    }
    for name in args.parts.split(","):
        print("\n".join(parts[name]()), flush=True)


if __name__ == "__main__":
    main()
