"""What PocketSphinx and Whisper are taught by documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from speech.asr_phonemes import arpabet, pronounce
from speech.asr_vocabulary import MAX_WORDS, Documents, Vocabulary, vocabulary, vocabulary_hint

_TEXT = (
    "The Quendroban bridge was opened in 1455 by Ada Lovelace.\n\n"
    "It cost $5 million, 12% more than the 3rd plan."
)


def made(folder: Path, *texts: str) -> Vocabulary:
    return vocabulary(Documents(lambda: texts, lambda: str(hash(texts)), folder))


def words_of(vocabulary: Vocabulary) -> set[str]:
    return {line.split()[0] for line in vocabulary.dictionary.read_text("utf-8").splitlines()}


def test_words_names_and_numbers_are_in_dictionary_and_model(tmp_path: Path) -> None:
    found = made(tmp_path, _TEXT)
    known = words_of(found)
    assert {"quendroban", "bridge", "lovelace", "fourteen", "dollars", "percent", "third", "how"} <= known
    model = found.model.read_text("utf-8")
    for gram in ("in fourteen fifty", "five million dollars", "twelve percent more", "<s> how many"):
        assert f" {gram}\n" in model or f" {gram} " in model
    in_model = {
        line.split()[1] for line in model.split("1-grams:")[1].split("\\2-grams")[0].split("\n") if line
    }
    assert in_model - {"<s>", "</s>"} <= known  # a word without pronunciation would stop the decoder


def test_numbers_come_back_as_the_documents_write_them(tmp_path: Path) -> None:
    found = made(tmp_path, _TEXT + " Later, in the 1970s, 1,200 ships passed.")
    said = "in fourteen fifty five and the nineteen seventies one thousand two hundred ships and five men"
    assert found.as_written(said.split()) == "in 1455 and the 1970s 1,200 ships and five men"
    assert found.as_written([]) == ""


def test_made_once_for_each_state_of_the_documents(tmp_path: Path) -> None:
    reads: list[int] = []
    state = ["1"]

    def texts() -> list[str]:
        reads.append(1)
        return [_TEXT]

    documents = Documents(texts, lambda: state[0], tmp_path)
    first = vocabulary(documents)
    assert vocabulary(documents) == first
    assert len(reads) == 1
    state[0] = "2"
    second = vocabulary(documents)
    assert second.model != first.model
    assert len(reads) == 2
    kept = second.model.parent
    assert list(kept.parent.iterdir()) == [kept]  # the old one is gone


def test_nothing_else_in_the_data_folder_is_touched(tmp_path: Path) -> None:
    files = [tmp_path / "parley.db", tmp_path / "uploads" / "mine.txt", tmp_path / "https" / "key.pem"]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
    made(tmp_path, _TEXT)
    made(tmp_path, _TEXT, "And something new.")
    assert [file.read_text() for file in files] == ["mine"] * 3


@pytest.mark.parametrize(
    "text", ["", "\x00 \ufffd ---", "你好世界。", "9" * 400, "Ω≈ç√ éàü naïve Čapek", "<s> </s> (2)"]
)
def test_any_text_makes_a_vocabulary_that_the_decoder_loads(tmp_path: Path, text: str) -> None:
    from pocketsphinx import Decoder

    found = made(tmp_path, text)
    assert Decoder(lm=str(found.model), dict=str(found.dictionary), loglevel="FATAL")


def test_a_large_corpus_is_sampled_evenly(tmp_path: Path) -> None:
    count = MAX_WORDS // 2
    found = made(tmp_path, *(f"word alpha{' early' if n < count // 2 else ' late'}." for n in range(count)))
    model = found.model.read_text("utf-8")
    assert "alpha early" in model
    assert "alpha late" in model


def test_pronunciation_by_rule() -> None:
    said = pronounce(["blicket", "zorvane", "ABC", "..."])
    assert said["blicket"] == "B L IH K IH T"
    assert said["zorvane"].startswith("Z AO R V")
    assert said["ABC"].split()[:2] == ["EY", "B"]
    assert arpabet("?!_") == ""


def test_hint_has_names_and_no_ordinary_words() -> None:
    texts = ["Yesterday the Tyne rose. Boats on the Tyne met Josh Norman. The river rose."] * 2
    hint = vocabulary_hint(texts)
    assert hint.split(", ")[0] == "Tyne"
    assert "Josh Norman" in hint
    assert "Yesterday" not in hint
    assert "The" not in hint.split()
    assert vocabulary_hint(texts, limit=6) == "Tyne"
    assert vocabulary_hint([]) == ""
