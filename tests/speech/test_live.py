"""Words while they are spoken: one contract for every engine, and what each hears."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speech import asr_decoder
from speech.asr import ENGINES, Documents, Recognised, ShouldStop, Stopped, TooSlow, open_transcriber
from speech.asr_decoder import open_decoder, own_mean, set_mean, words_of
from speech.audio import RATE, Samples, to_int16
from speech.live import LiveTranscript, open_live
from tests.speech.speaking import spoken
from tests.speech.told import FRAME, SECOND, Scripted, Told, ended
from tests.speech_models import save_faster_whisper, save_openai_whisper, tiny_whisper

# openai-whisper leaves its token file to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file.*tiktoken:ResourceWarning")

_SENTENCE = "The printing press was invented in the middle of the fifteenth century."


class Final(Scripted):
    """One that also has a last word."""

    def transcript(self) -> Recognised:
        return Recognised(f"{self.heard} in all", "en")


def _never() -> bool:
    return False


def assert_true(value: bool) -> None:
    assert value


def frames(audio: Samples) -> Iterator[Samples]:
    return (audio[at : at + FRAME] for at in range(0, len(audio), FRAME))


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("live")
    names = {
        "faster-whisper": f"faster-whisper:{save_faster_whisper(folder / 'tiny', tiny_whisper())}",
        "openai-whisper": f"openai-whisper:{save_openai_whisper(folder / 'tiny.pt')}",
        "pocketsphinx": "pocketsphinx",
    }
    documents = Documents(lambda: [_SENTENCE], lambda: "1", folder / "words")
    opened: dict[str, Any] = {
        name: open_transcriber(names[name], documents=documents, device="cpu") for name in ENGINES
    }
    for engine in opened.values():
        engine.load()
    opened["pocketsphinx"]._renewing.join(20)
    return opened


@pytest.mark.parametrize("name", ENGINES)
def test_contract(engines: dict[str, Any], name: str) -> None:
    engine = engines[name]
    for _ in range(3):  # more than PocketSphinx lends at a time
        told = Told()
        live = open_live(engine, told, language="en-US", hint="Gutenberg")
        assert live
        for frame in frames(spoken(_SENTENCE)):
            live.feed(frame)
        assert all(told.until(bool))
        live.close()
        assert ended(live)
        count = len(told.texts)
        live.feed(spoken(_SENTENCE))
        live.close()
        assert len(told.texts) == count
    assert engine.transcribe(spoken(_SENTENCE), language="en").text


@pytest.mark.parametrize("name", ENGINES)
def test_a_model_that_is_not_loaded_tells_no_words(engines: dict[str, Any], name: str) -> None:
    assert open_live(open_transcriber(engines[name].name), Told()) is None


def test_pocketsphinx_without_documents_tells_none_for_they_come_late() -> None:
    engine: Any = open_transcriber("pocketsphinx")
    engine.load()
    engine._renewing.join(20)
    assert open_live(engine, Told()) is None


def test_a_recogniser_without_live_words_is_fine() -> None:
    class Plain:
        name = notice = ""

        def load(self) -> None: ...

        def transcribe(self, *_: object, **__: object) -> Any: ...

    assert open_live(Plain(), Told()) is None


# PocketSphinx


def test_pocketsphinx_hears_the_words_as_they_come(engines: dict[str, Any]) -> None:
    lent = engines["pocketsphinx"].live()
    texts = [t for frame in frames(spoken(_SENTENCE)) if (t := lent.hear(frame, _never)) is not None]
    lent.close()
    assert len(texts) >= 10
    said = set(_SENTENCE.lower().strip(".").split())
    assert len(said & set(texts[-1].split())) / len(said) >= 0.4  # as of the whole recording
    assert 2 <= len(texts[len(texts) // 2].split()) < len(texts[-1].split())


def test_pocketsphinx_hears_two_and_english_only(engines: dict[str, Any]) -> None:
    engine = engines["pocketsphinx"]
    assert engine.live("de") is None
    one, two = engine.live("en-GB"), engine.live("auto")
    assert engine.live() is None
    for lent in (one, two):
        lent.close()
    again = engine.live()
    assert again
    again.close()


def test_pocketsphinx_lends_new_words_when_the_documents_have_changed(tmp_path: Path) -> None:
    state, texts = ["1"], {"1": "Nothing to see here.", "2": _SENTENCE}
    engine: Any = open_transcriber(
        "pocketsphinx", documents=Documents(lambda: [texts[state[0]]], lambda: state[0], tmp_path)
    )
    engine.load()
    engine._renewing.join(20)
    old, state[0] = engine.live(), "2"
    assert engine.transcribe(spoken(_SENTENCE)).text
    engine._renewing.join(20)
    new = [engine.live(), engine.live()]
    old.close()
    assert engine.live() is None  # what was lent before is not lent again
    assert all("fifteenth" in lent._spare.words.dictionary.read_text() for lent in new)


def test_a_decoder_that_failed_is_replaced(engines: dict[str, Any]) -> None:
    engine = engines["pocketsphinx"]
    one, other = engine.live(), engine.live()
    one._decoder.end()  # to end twice is an error
    one.close()
    assert engine.live() is None
    engine.transcribe(spoken(_SENTENCE))
    engine._renewing.join(20)
    new = engine.live()
    assert new._decoder is not one._decoder
    new.close()
    other.close()


def test_the_last_word_counts_what_was_fed_before_it() -> None:
    gate = threading.Event()
    told = Told()
    live = LiveTranscript(Final(lambda should_stop: assert_true(gate.wait(5))), told)
    live.feed(SECOND)
    first = live.transcript()
    live.feed(SECOND)
    last = live.transcript()
    live.feed(SECOND)
    live.close()  # who has asked gets an answer all the same
    gate.set()
    assert first
    assert last
    assert first(_never) == Recognised("16000 in all", "en")
    assert last(_never) == Recognised("32000 in all", "en")
    assert ended(live)
    assert not told.texts
    assert live.transcript() is None


def test_nobody_waits_for_a_last_word_longer_than_wanted() -> None:
    gate = threading.Event()
    scripted = Final(lambda should_stop: assert_true(gate.wait(5)))
    live = LiveTranscript(scripted, Told())
    live.feed(SECOND)
    last = live.transcript()
    assert last
    with pytest.raises(Stopped):
        last(lambda: True)
    live.close()
    gate.set()
    assert ended(live)
    assert scripted.closed.is_set()


def test_who_fails_has_no_last_word() -> None:
    def fail(should_stop: ShouldStop) -> None:
        raise TooSlow("slow")

    live = LiveTranscript(Final(fail), Told())
    last = live.transcript()
    live.feed(SECOND)
    late = live.transcript()
    assert last
    assert last(_never) == Recognised("0 in all", "en")
    assert late is None or late(_never) is None


def test_only_an_engine_with_a_last_word_is_asked_for_one() -> None:
    live = LiveTranscript(Scripted(), Told())
    assert live.transcript() is None
    live.close()


def test_pocketsphinx_has_the_transcript_when_the_speech_ends(engines: dict[str, Any]) -> None:
    engine, sound = engines["pocketsphinx"], spoken(_SENTENCE)
    live = open_live(engine, Told())
    assert live
    for frame in frames(sound):
        live.feed(frame)
    last = live.transcript()
    live.close()
    assert last
    heard = last(_never)
    assert heard
    assert heard.language == "en"
    wrong = set(_SENTENCE.lower().rstrip(".").split()) ^ set(heard.text.split())
    assert len(wrong) <= 4, heard.text


@pytest.fixture
def words(engines: dict[str, Any]) -> dict[str, str]:
    known = engines["pocketsphinx"]._words
    return {"lm": str(known.model), "dict": str(known.dictionary)}


def test_a_decoder_lets_other_threads_go_on(words: dict[str, str]) -> None:
    if asr_decoder._library() is None:
        pytest.skip("the library shows no functions here")
    decoder, sound = open_decoder(words | {"cmn": "live"}), to_int16(spoken(_SENTENCE)).tobytes()
    decoder.begin()
    thread = threading.Thread(target=lambda: decoder.hear(sound))
    thread.start()
    turns = 0
    while thread.is_alive():
        turns += 1
        time.sleep(0.001)
    decoder.end()
    assert turns > 10


def test_both_ways_to_the_decoder_are_the_same(
    words: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, results = to_int16(spoken(_SENTENCE)).tobytes(), []
    for library in (asr_decoder._library(), None):
        monkeypatch.setattr(asr_decoder, "_library", lambda library=library: library)
        decoder = open_decoder(words | {"cmn": "live", "fwdflat": "no"})
        set_mean(decoder, np.arange(13.0))
        decoder.begin()
        decoder.hear(sound)
        own = own_mean(decoder, np.arange(13.0), len(sound) // 320)
        decoder.end()
        results.append((words_of(decoder), own))
    assert results[0][0] == results[1][0] != []
    assert results[0][1] == pytest.approx(results[1][1])


def test_the_mean_of_an_utterance_does_not_depend_on_what_it_began_with(words: dict[str, str]) -> None:
    sound = to_int16(spoken(_SENTENCE)).tobytes()
    live = open_decoder(words | {"cmn": "live"})
    found = []
    for begun_with in (np.array([40.0, *[0.0] * 12]), np.arange(13.0)):
        set_mean(live, begun_with)
        live.begin()
        live.hear(sound)
        found.append(own_mean(live, begun_with, len(sound) // 320))
        live.end()
        assert abs(begun_with - found[-1]).max() > 5
    assert found[0] == pytest.approx(found[1], abs=3)  # the window at its ends is counted roughly


@pytest.mark.parametrize("options", [{"cmn": "batch", "nonsense": "1"}, {"dict": "/nowhere"}])
def test_a_decoder_that_cannot_be_made_says_so(options: dict[str, str]) -> None:
    with pytest.raises(RuntimeError, match="PocketSphinx"):
        open_decoder(options)


# Whisper


@pytest.mark.parametrize("name", ["faster-whisper", "openai-whisper"])
def test_a_guess_gives_way_to_a_recording(
    engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    engine, guessing, original = engines[name], threading.Event(), engines[name]._guess

    def endless(audio: Samples, language: str | None, hint: str | None, stop: ShouldStop) -> str:
        guessing.set()
        while True:
            original(audio, language, hint, stop)

    monkeypatch.setattr(engine, "_guess", endless)
    told = Told()
    live = open_live(engine, told, language="en")
    assert live
    live.feed(SECOND)
    assert guessing.wait(20)
    assert engine.transcribe(spoken(_SENTENCE), language="en").text
    monkeypatch.setattr(engine, "_guess", original)
    live.feed(spoken(_SENTENCE))
    assert told.until(bool)  # and goes on afterwards
    live.close()
    assert ended(live)


@pytest.mark.parametrize("name", ["faster-whisper", "openai-whisper"])
def test_a_guess_ends_when_nobody_wants_it(engines: dict[str, Any], name: str) -> None:
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 1

    with pytest.raises(Stopped):
        engines[name].guess(spoken(_SENTENCE), "en", None, stop)
    assert engines[name].guess(spoken(_SENTENCE), "en", None, _never)


def test_whisper_gives_up_where_it_takes_too_long(
    engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lent = engines["faster-whisper"].live("en")
    clock = itertools.count(step=2)
    monkeypatch.setattr("speech.asr_whisper.time.perf_counter", lambda: next(clock))
    with pytest.raises(TooSlow):
        lent.hear(SECOND, _never)


def test_whisper_guesses_at_the_last_quarter_of_a_minute_only(
    engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, lengths = engines["faster-whisper"], list[int]()

    def count(audio: Samples, *_: object) -> str:
        lengths.append(len(audio))
        return f" {len(audio) / RATE:.0f}"

    monkeypatch.setattr(engine, "guess", count)
    lent = engine.live("en")
    texts = [lent.hear(SECOND, _never) for _ in range(50)]
    assert 14 * RATE < max(lengths) <= 16 * RATE
    assert texts[-1].split()[:2] == [str(round(max(lengths) / RATE))] * 2  # settled, and a text still
    assert sum(int(seconds) for seconds in texts[-1].split()) == pytest.approx(50, abs=3)


def test_much_sound_at_once_is_no_more_than_whisper_takes(
    engines: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, lengths = engines["faster-whisper"], list[int]()

    def count(audio: Samples, *_: object) -> str:
        lengths.append(len(audio))
        return "words"

    monkeypatch.setattr(engine, "guess", count)
    engine.live("en").hear(np.zeros(100 * RATE, np.float32), _never)
    assert lengths[0] < 30 * RATE
