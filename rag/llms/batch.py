"""Several answers at once from one model: every pass adds a token or more to each of them.

One thread makes the passes. A pass takes the answers that are being written, each with the guesses of
`lookup` that are likely enough to pay, and the next piece of the prompts that are not read yet, in their
order; so whoever comes reads the first word after the prompts before theirs, and nobody waits for another's
answer to end. It does not know text, nor how tokens are chosen.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rag.cancel import Cancelled
from rag.llms.choosing import choose
from rag.llms.errors import Busy, explained, is_memory
from rag.llms.footprint import READ_AT_ONCE
from rag.llms.lookup import MOST, Lookup
from rag.llms.memory import give_back
from rag.llms.pace import Pace
from rag.llms.prefixes import Prefixes
from rag.llms.ragged import KeyValues, Part, forward
from rag.llms.run import PATIENCE, Run, generation_thread
from rag.telling import Queued

log = logging.getLogger(__name__)

AT_ONCE = 32  # answers that are written in one pass
READ = {"cpu": 384, "cuda": 1024}  # tokens of prompts that one pass reads while others write
HELD = 0.02  # seconds between two looks at answers that all stand still
HOPE = 0.6  # that a guess is right, as long as nothing is known of it
FORGETS = 0.02  # of what is known of guesses, with each token
Room = Callable[[Any], int]  # device → bytes that keys and values may take there


@dataclass(eq=False)  # each is itself
class Seat:
    """An answer that takes part in the passes."""

    run: Run
    cache: KeyValues
    lookup: Lookup
    trust: dict[int, float] = field(default_factory=dict)  # place among the guesses → how often it is right

    @property
    def left(self) -> int:
        """Tokens of the prompt that are not read yet."""
        return max(0, len(self.run.prompt) - self.cache.length)

    def guesses(self) -> list[int]:
        room = self.run.limit - len(self.run.written) - 1
        return self.lookup.guess(min(MOST, room)) if room > 0 else []

    def hope(self, place: int) -> float:
        return self.trust.get(place, HOPE)

    def learn(self, guessed: int, right: int) -> None:
        """`right` of the guesses that were checked were right; what comes behind a wrong one says nothing."""
        for place in self.trust:
            self.trust[place] += FORGETS * (HOPE - self.trust[place])
        for place in range(min(right + 1, guessed)):
            was = self.hope(place)
            self.trust[place] = was + 0.2 * (float(place < right) - was)


class Batch:
    """Writes with one model; the thread lives as long as there is something to write."""

    def __init__(self, model: Any, ends: Sequence[int], room: Room, *, patience: float = PATIENCE) -> None:
        self._model = model
        self._ends = frozenset(ends)
        self._room = room
        self._patience = patience
        self._read = READ.get(model.device.type, READ["cpu"])
        self._changed = threading.Condition()
        self._waiting: list[Run] = []
        self._seats: list[Seat] = []
        self._thread: threading.Thread | None = None
        self._prefixes = Prefixes()
        self._pace = Pace()
        self._per_token: dict[Any, float] = {}  # device → bytes of one token's keys and values
        self._tokens = math.inf  # that all caches together may hold
        self._stood = 0.0  # seconds of a pass in which it waited for who was held
        self.passes = 0

    def start(self, run: Run) -> None:
        with self._changed:
            self._waiting.append(run)
            self._tell_places()
            if self._thread is None:
                self._thread = generation_thread(self._serve)
            self._changed.notify_all()

    @property
    def busy(self) -> bool:
        return self._thread is not None

    # The thread

    def _serve(self) -> None:
        import torch

        try:
            with torch.inference_mode():
                while self._step():
                    pass
        except BaseException as error:  # nobody is left waiting, and the log says why
            log.exception("the thread that generates has failed")
            with self._changed:
                self._thread = None
                everybody = [*self._waiting, *(seat.run for seat in self._seats)]
                self._waiting, self._seats = [], []
            for run in everybody:
                run.end(explained(error))

    def _step(self) -> bool:
        """One pass; False where there is nothing left to do, and the thread may end."""
        with self._changed:
            self._clear()
            self._admit()
            if not self._seats and not self._waiting:
                self._thread = None
                return False
            seats = [seat for seat in self._seats if not seat.run.token.held]
            if not seats:
                self._changed.wait(HELD)
                return True
        if parts := self._parts(seats):
            self._pass(parts)
        return True

    def _clear(self) -> None:
        """Take out whoever has gone, is ready, or has waited too long; under the lock."""
        for run in [*self._waiting, *(seat.run for seat in self._seats)]:
            if run.token.cancelled:
                run.end()
            elif run.late and run.written:
                run.finish = "time"
                run.end()
        for run in self._waiting:
            if run.late or time.monotonic() - run.asked > self._patience:
                run.end(Busy(len(self._seats)))
        # Not by `over`: whoever leaves between the lines above and these is ended the next time.
        self._waiting = [run for run in self._waiting if not run.ended.is_set()]
        self._seats = [seat for seat in self._seats if not seat.run.ended.is_set()]

    def _admit(self) -> None:
        """Give a seat to those for whom there is memory, in their order; under the lock."""
        if not self._seats:
            self._tokens = self._affordable()
        while self._waiting and len(self._seats) < AT_ONCE:
            run = self._waiting[0]
            capacity = len(run.prompt) + run.limit
            taken = sum(seat.cache.capacity for seat in self._seats)
            if self._seats and taken + capacity > self._tokens:
                return
            self._seats.append(Seat(run, self._room_for(run.prompt, capacity), Lookup(run.prompt)))
            self._waiting.pop(0)
            self._tell_places()

    def _room_for(self, prompt: Sequence[int], capacity: int) -> KeyValues:
        """With what is known of the prompt; where there is no memory for a copy of that, without."""
        try:
            return self._prefixes.start(prompt, capacity)
        except Exception as error:
            log.warning("what prompts begin with is forgotten (%s)", type(error).__name__)
        self._prefixes.forget()
        give_back()
        return KeyValues(capacity)

    def _affordable(self) -> float:
        """Tokens whose keys and values there is memory for, on the device that has the least."""
        return min((self._room(device) / size for device, size in self._per_token.items()), default=math.inf)

    def _tell_places(self) -> None:
        """Everybody who is not the next to read a first word learns their place; under the lock."""
        unread = [seat for seat in self._seats if seat.left]
        waiting = ((run, len(run.prompt) - self._prefixes.known(run.prompt)) for run in self._waiting)
        line = [*((seat.run, seat.left) for seat in unread), *waiting]
        writing, before = len(self._seats) - len(unread), 0
        for place, (run, tokens) in enumerate(line):
            before += tokens
            if place or writing:
                run.inform(Queued(place, self._until(before, writing + (place + 1) // 2)))

    def _until(self, tokens: int, writing: int) -> float | None:
        """Seconds until so many tokens of prompts are read while `writing` answers are written, too."""
        reading = self._pace.reading(tokens)
        if reading is None:
            return None
        return reading + math.ceil(tokens / self._read) * self._pace.writing(writing)

    def _parts(self, seats: Sequence[Seat]) -> list[tuple[Seat, Part, list[int]]]:
        """What each has in the next pass, with the guesses in it."""
        writing = [seat for seat in seats if not seat.left]
        guesses = self._worth_it(writing)
        parts = []
        for seat in writing:
            guessed = guesses.get(seat, [])
            tokens = [seat.lookup.tokens[-1], *guessed]
            parts.append((seat, Part(seat.cache, tokens, len(tokens)), guessed))
        unread = [seat for seat in seats if seat.left]
        budget = self._read if writing else min(READ_AT_ONCE, unread[0].left)
        for seat in unread:
            start = seat.cache.length
            tokens = seat.run.prompt[start : start + _piece(seat.left, budget)]
            if tokens:
                last = start + len(tokens) == len(seat.run.prompt)
                parts.append((seat, Part(seat.cache, tokens, int(last)), []))
                budget -= len(tokens)
        return parts

    def _worth_it(self, writing: Sequence[Seat]) -> dict[Seat, list[int]]:
        """The guesses that are likely enough to be checked, the likeliest first."""
        all_guesses = {seat: seat.guesses() for seat in writing}
        hopes: list[tuple[float, Seat]] = []
        for seat, guessed in all_guesses.items():
            hope = 1.0
            for place in range(len(guessed)):
                hope *= seat.hope(place)
                hopes.append((hope, seat))
        hopes.sort(key=lambda pair: -pair[0])
        gains = [0.0]
        for hope, _ in hopes:
            gains.append(gains[-1] + hope)
        chosen = hopes[: self._pace.best(len(writing), gains)]
        return {
            seat: guessed[: sum(taken is seat for _, taken in chosen)]
            for seat, guessed in all_guesses.items()
        }

    def _pass(self, parts: Sequence[tuple[Seat, Part, list[int]]]) -> None:
        """Make it; where it fails, only those are harmed with whom it fails alone."""
        began, failed = time.perf_counter(), None
        try:
            logits = self._forward(parts)
        except Cancelled:
            return  # all of them, as the next step sees
        except Exception as error:
            # The traceback of one who ran out of memory would hold what the pass had computed.
            failed = error.with_traceback(None) if is_memory(error) else error
        if failed is not None:
            self._failed(parts, failed)
            return
        seconds = time.perf_counter() - began - self._stood
        read = sum(len(part.tokens) for seat, part, _ in parts if seat.left)
        self._pace.saw(seconds, read=read, written=sum(len(part.tokens) for _, part, _ in parts) - read)
        row = 0
        for seat, part, guessed in parts:
            rows = logits[row : row + part.wanted]
            row += part.wanted
            self._take(seat, part, guessed, rows)

    def _forward(self, parts: Sequence[tuple[Seat, Part, list[int]]]) -> Any:
        runs = [seat.run for seat, _, _ in parts]

        def check() -> None:
            """Between two layers: stop where nobody wants the pass any more, wait while all stand still.

            But not while somebody else waits for the pass to end.
            """
            while all(run.token.cancelled or run.token.held for run in runs):
                if all(run.token.cancelled for run in runs):
                    raise Cancelled
                with self._changed:
                    if self._waiting or any(
                        seat.run not in runs and not seat.run.token.held for seat in self._seats
                    ):
                        return
                    began = time.perf_counter()
                    self._changed.wait(HELD)
                    self._stood += time.perf_counter() - began

        self.passes, self._stood = self.passes + 1, 0.0
        return forward(self._model, [part for _, part, _ in parts], check)

    def _take(self, seat: Seat, part: Part, guessed: Sequence[int], logits: Any) -> None:
        """Move on by what the pass said about one answer."""
        run = seat.run
        if not part.wanted:
            seat.cache.length += len(part.tokens)
            return
        if seat.left:
            seat.cache.length += len(part.tokens)
            self._learn_size(seat.cache)
            try:
                self._prefixes.learn(run.prompt, seat.cache)
            except Exception:  # it is only a convenience, and the answer goes on
                log.debug("a beginning could not be kept", exc_info=True)
                self._prefixes.forget()
            with self._changed:
                self._tell_places()
        try:
            chosen = choose(logits, run.sampling, run.written, guessed)
        except Exception as error:
            run.end(explained(error))
            return
        if guessed or len(part.tokens) == 1:
            seat.learn(len(guessed), len(chosen) - 1)
        seat.cache.length = len(seat.lookup.tokens) + len(chosen) - 1
        seat.lookup.extend(chosen)
        run.write(chosen, self._ends)

    def _learn_size(self, cache: KeyValues) -> None:
        if not self._per_token:
            self._per_token = {
                device: size / cache.capacity for device, size in cache.bytes_by_device().items()
            }

    def _failed(self, parts: Sequence[tuple[Seat, Part, list[int]]], error: Exception) -> None:
        """Make memory, and try each alone; who fails alone gets the error."""
        if is_memory(error):
            self._prefixes.forget()
            give_back()
        if len(parts) == 1 and not (is_memory(error) and self._once_more(parts)):
            parts[0][0].run.end(explained(error))
        elif len(parts) > 1:
            for part in parts:
                self._pass([part])

    def _once_more(self, parts: Sequence[tuple[Seat, Part, list[int]]]) -> bool:
        """Whether there was memory for it now that some is free."""
        try:
            logits = self._forward(parts)
        except Cancelled:
            return True
        except Exception:
            return False
        seat, part, guessed = parts[0]
        self._take(seat, part, guessed, logits)
        return True


def _piece(left: int, budget: int) -> int:
    """How many tokens to read of a prompt: no few are left for a pass of their own."""
    return left if left <= min(budget + budget // 4, READ_AT_ONCE) else max(0, budget)
