"""Questions on the real engines: two settings side by side, spoken questions, and people who go first."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import pytest

import app
from commands.indexing import index
from engines import EngineError, Engines
from evaluation.measuring import (
    PATIENCE,
    Plan,
    Report,
    hearing_advice,
    measure,
    parse_changes,
    parse_comparison,
)
from evaluation.reporting import as_record, as_result, as_text
from rag.advice import Kind
from rag.cancel import Cancelled, CancelToken, scope
from rag.questions import Row
from settings import Settings, SettingsError

HOURS = "Hours\n\nThe lantern boat leaves at nine in the evening. It returns at eleven.\n"
PRICES = "Tickets\n\nA ticket for the lantern boat costs 14 euros. Children under six ride for free.\n"
ROWS = [
    Row("when", "When does the lantern boat leave?", "hours.txt", answers=("nine",), answerable=True),
    Row(
        "cost",
        "What does a ticket for the lantern boat cost?",
        "prices.txt",
        answers=("14",),
        answerable=True,
    ),
    Row("gone", "How deep is the harbour?", "harbour.txt", answers=("9 m",)),
    Row("none", "Which enzyme splits lactose in mammals?", answerable=False),
]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    docs, data = tmp_path_factory.mktemp("docs"), tmp_path_factory.mktemp("data")
    (docs / "hours.txt").write_text(HOURS)
    (docs / "prices.txt").write_text(PRICES)
    settings = Settings(
        _env_file=None, data=data, corpus=(docs,), llm="extractive", offline=True, asr="pocketsphinx"
    )  # type: ignore[call-arg]
    with Engines(settings) as engines:
        index(engines, settings.corpus, ())
        yield engines


@pytest.fixture(scope="module")
def spoken(engines: Engines) -> Report:
    """Two questions, typed and spoken in some noise, now and with other settings."""
    return measure(engines, Plan(ROWS[:2], changes={"floor": "1"}, spoken=True, noise=20.0))


def test_figures_advice_and_misses_of_typed_questions(engines: Engines) -> None:
    told: list[tuple[int, int, str]] = []
    result = as_result(measure(engines, Plan(ROWS), lambda *step: told.append(step)))
    assert result["questions"] == 4
    assert result["recall"]["1"] == 0.6667
    assert result["abstained"] == {"answerable": 0.0, "unanswerable": 1.0}
    assert result["misses"] == [{"id": "gone", "question": ROWS[2].question, "kind": "not indexed"}]
    assert "harbour.txt" in result["advice"][0]["text"]
    assert [step[:2] for step in told] == [(n, 4) for n in range(5)]
    assert set(result) == {
        *("questions", "recall", "mrr", "answer_contains", "abstained", "seconds", "p50_ms", "p95_ms"),
        *("advice", "misses"),
    }


def test_two_settings_are_measured_side_by_side(engines: Engines) -> None:
    result = as_result(measure(engines, Plan(ROWS, changes={"floor": "1", "k": "2"})))
    compared = result["compared"]
    assert compared["changed"] == {"floor": "1", "k": "2"}
    assert compared["abstained"] == {"answerable": 1.0, "unanswerable": 1.0}, "nothing scores 1"
    assert result["abstained"]["answerable"] == 0.0
    refused = next(each for each in compared["differences"] if each["figure"] == "refused: answerable")
    assert (refused["difference"], refused["verdict"]) == (1.0, "too few")
    text = as_text(json.loads(json.dumps(result)))
    assert "With floor=1, k=2" in text
    assert "too few" in text
    assert engines.settings.floor is None, "the page's own engines are as they were"
    assert engines.retriever().k == 4


def test_people_read_lines_in_the_pages_words_and_the_misses(engines: Engines) -> None:
    gone = [replace(ROWS[2], id=f"gone-{n}", question=f"How deep is harbour {n}?") for n in range(22)]
    text = as_text(as_result(measure(engines, Plan([*ROWS[:2], ROWS[3], *gone]))))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "25 questions."
    assert {"Right passage first 8.3 %", "Refused, as it should be 100 %"} <= set(lines)
    assert "- How deep is harbour 0? (its document is not in the index)" in lines
    assert sum(line.startswith("- How deep") for line in lines) == 20
    assert lines[-1] == "and 2 more"
    assert not set('{}"') & set(text)


def test_the_text_has_a_column_for_every_way_of_asking(spoken: Report) -> None:
    lines = as_text(as_result(spoken)).splitlines()
    heads = "Now Now, aloud (20 dB) floor=1 floor=1, aloud (20 dB)"
    assert " ".join(lines[2].split()) == heads
    misheard = next(line for line in lines if line.startswith("Words misheard"))
    assert misheard.split()[2] == "–", "nothing is misheard of what is typed"
    assert misheard.count("%") == 2


def test_every_kind_of_miss_is_told_in_the_pages_words(engines: Engines) -> None:
    page = (Path(app.__file__).parent / "ui/assets/evaluation-result.js").read_text()
    result = as_result(measure(engines, Plan(ROWS[:1])))
    for kind in get_args(Kind):
        text = as_text(result | {"misses": [{"id": "a", "question": "Why?", "kind": kind}]})
        words = text.splitlines()[-1].removeprefix("- Why? (").removesuffix(")")
        assert f'"{words}"' in page


def test_spoken_questions_have_figures_of_their_own_and_the_loss(spoken: Report) -> None:
    result = as_result(spoken)
    heard = result["spoken"]
    assert (heard["voice"], heard["recogniser"], heard["noise_db"]) == ("espeak-ng", "pocketsphinx", 20.0)
    assert 0 <= heard["wer"] <= 1
    assert heard["loss"]["mrr"] == round(result["mrr"] - heard["mrr"], 4)
    assert heard["loss"]["recall"]["1"] == round(result["recall"]["1"] - heard["recall"]["1"], 4)
    assert heard["hearing_p50_ms"] > 0
    run = spoken.run(spoken=True)
    assert run is not None
    assert [each.row for each in run.measured] == ROWS[:2], "what was meant, not what was heard"
    changed = spoken.run(changed=True, spoken=True)
    assert changed is not None
    assert changed.heard == run.heard, "both settings hear the same"
    assert "lantern" in " ".join(run.heard).lower()


def test_the_same_way_of_asking_is_compared(spoken: Report) -> None:
    """Typed with typed, spoken with spoken: the floor of 1 refuses everything that is asked either way."""
    compared = as_result(spoken)["compared"]
    for differences in (compared["differences"], compared["spoken"]["differences"]):
        refused = next(each for each in differences if each["figure"] == "refused: answerable")
        assert refused["second"] == 1.0
        recall = next(each for each in differences if each["figure"] == "recall@4")
        assert recall["verdict"] == "same", "the floor does not change what is found"
    assert "With floor=1, aloud" in as_text(as_result(spoken))


def test_a_weak_recogniser_is_advised_against_where_it_costs(spoken: Report) -> None:
    typed, heard = spoken.runs[:2]
    assert hearing_advice(typed, replace(heard, errors=0, measured=typed.measured)) == []
    lost = [replace(heard.measured[0], contains=False, found=(False,) * 10), typed.measured[1]]
    (advice,) = hearing_advice(typed, replace(heard, measured=lost))
    assert "which cost 1 question." in advice.text
    (advice,) = hearing_advice(typed, replace(heard, errors=heard.words // 2))
    assert (advice.kind, advice.setting) == ("misheard", "asr")
    assert advice.value.startswith("faster-whisper")
    failed = replace(heard, errors=heard.words // 2, failure="It cannot be fetched (OSError). Check it.")
    (advice,) = hearing_advice(typed, failed)
    assert (advice.setting, "could not be downloaded: It cannot be fetched" in advice.text) == ("", True)
    best = replace(heard, errors=heard.words // 2, recogniser="faster-whisper:large-v3-turbo")
    (advice,) = hearing_advice(typed, best)
    assert advice.setting == ""
    assert "headset" in advice.text


def test_everything_about_every_question_is_in_the_record(spoken: Report) -> None:
    record = json.loads(json.dumps(as_record(spoken), allow_nan=False))
    assert [(run["changed"], run["spoken"]) for run in record["runs"]] == [
        *((False, False), (False, True)),
        *((True, False), (True, True)),
    ]
    assert record["questions"][0] == ROWS[0].as_dict()
    typed, heard = (run["rows"][0] for run in record["runs"][:2])
    assert typed["heard"] is None
    assert heard["heard"]
    assert typed["outcome"] == "right"
    assert typed["places"][0][0] == "hours.txt"
    assert "nine" in typed["answer"]
    assert record["runs"][0]["curve"] == [1.0] * 10
    assert [each["of"] for each in record["comparisons"]] == [[0, 2], [1, 3], [0, 1], [2, 3]]
    assert record["settings"]["answers"] == "quotations"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("chunk_size=500", "chunk_size needs the documents indexed again"),
        ("memory=none", "memory plays no part"),
        ("speed=2", "speed cannot be changed"),
        ("colour=red", "colour is no setting"),
        ("k", "'k' is no setting with a value"),
    ],
)
def test_what_cannot_be_compared_says_why(given: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        parse_comparison(given)


def test_a_comparisons_values_are_checked_like_flags() -> None:
    assert parse_comparison("PARLEY_K=6, --floor=.1") == {"k": "6", "floor": ".1"}
    assert parse_changes({"k": "6", "compress": "1"}) == {"k": 6, "compress": True}
    with pytest.raises(SettingsError, match="PARLEY_K"):
        parse_comparison("k=many")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"chain": "refine", "compress": "1"}, "chain, compress changes nothing"),
        ({"asr": "faster-whisper:base"}, "asr changes nothing for typed questions"),
        ({"reranker": "/no/such/model"}, "ranked without it"),
    ],
)
def test_a_comparison_that_could_show_nothing_is_refused(
    engines: Engines, changes: dict[str, str], said: str
) -> None:
    with pytest.raises(EngineError, match=said):
        measure(engines, Plan(ROWS[:1], changes=changes))


def test_without_a_voice_nothing_can_be_spoken(engines: Engines) -> None:
    with pytest.raises(EngineError, match="There is no voice"):
        measure(engines.variant({"tts": "none"}), Plan(ROWS[:1], spoken=True))


class Counter:
    """A chain in place of the engines' own: the first call lasts until it is cancelled."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.calls = 0

    def invoke(self, input: dict[str, Any]) -> dict[str, Any]:
        from rag.cancel import current

        self.calls += 1
        self.begun.set()
        if self.calls == 1:
            current().wait(PATIENCE)
            current().raise_if_cancelled()
        return {"result": "…", "source_documents": []}


def counted(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> Counter:
    counter = Counter()
    responder = replace(engines.responder(), chain=cast(Any, counter))
    monkeypatch.setattr(engines, "responder", lambda **_: responder)
    return counter


def test_somebody_who_asks_meanwhile_goes_first(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    counter, answering = counted(engines, monkeypatch), threading.Event()
    reports: list[Report] = []
    plan = Plan(ROWS[:1], busy=answering.is_set)
    work = threading.Thread(target=lambda: reports.append(measure(engines, plan)))
    work.start()
    assert counter.begun.wait(20)
    counter.begun.clear()
    answering.set()
    assert not counter.begun.wait(0.3), "the question waits while somebody is answered"
    answering.clear()
    work.join(20)
    assert counter.calls == 2, "and is asked anew"
    assert reports[0].runs[0].measured[0].seconds < 1, "its time is that of the second try"


def test_it_can_be_cancelled_in_the_middle_of_a_question(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter, token = counted(engines, monkeypatch), CancelToken()
    ended: list[BaseException] = []

    def work() -> None:
        try:
            with scope(token):
                measure(engines, Plan(ROWS, busy=lambda: False))
        except Cancelled as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert counter.begun.wait(20)
    began = time.monotonic()
    token.cancel()
    thread.join(20)
    assert ended
    assert time.monotonic() - began < 5
    assert counter.calls == 1
