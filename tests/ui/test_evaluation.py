"""Evaluation's routes: sets of questions, one measurement at a time, results that are kept."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from rag.questions import Row, as_lines
from rag.store import Page
from tests.ui.scripted import PAGES, QUOTE, Script, starts
from ui.evaluation import SAMPLE, expected_place
from ui.evaluation_files import KEPT, Results
from ui.web import build_ui

HOST = "http://127.0.0.1"
API = "/api/evaluation"
ROWS = [
    Row("1", "When does the lamp room close?", "lighthouse.pdf", (2,), answers=("half past five",)),
    Row("2", "Is it lost?", "lighthouse.pdf", (2,), answers=("half past five",), answerable=True),
]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


@pytest.fixture
def client(script: Script) -> Iterator[TestClient]:
    with TestClient(build_ui(script.services()), base_url=HOST) as client:
        client.get("/")
        yield client


def save(client: TestClient, name: str = "Mine", rows: list[Row] = ROWS) -> Any:
    return client.post(f"{API}/sets", params={"name": name}, content=as_lines(rows).encode())


def ended(client: TestClient) -> dict[str, Any]:
    """The job, once it is no longer running."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        job: dict[str, Any] = client.get(API).json()["job"]
        if job["state"] != "running":
            return job
        time.sleep(0.01)
    raise AssertionError("it still runs")


def measured(client: TestClient, **body: Any) -> dict[str, Any]:
    """Measure the set Mine; the result as the page gets it."""
    assert client.post(f"{API}/run", json={"name": "Mine", **body}).status_code == 200
    job = ended(client)
    assert job["state"] == "done", job
    result: dict[str, Any] = client.get(f"{API}/results/{job['result']}").json()
    return result


def test_a_set_is_kept_read_and_removed(client: TestClient, script: Script) -> None:
    assert save(client).json() == {"name": "Mine", "questions": 2}
    assert client.get(API).json()["sets"] == ["Mine"]
    assert (script.data / "questions" / "Mine.jsonl").read_text(encoding="utf-8") == as_lines(ROWS)
    rows = client.get(f"{API}/sets", params={"name": "Mine"}).json()["rows"]
    assert rows == [row.as_dict() for row in ROWS]
    assert client.delete(f"{API}/sets", params={"name": "Mine"}).status_code == 200
    assert client.get(f"{API}/sets", params={"name": "Mine"}).status_code == 404


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".hidden", "x" * 61, "a\x00b", "C:\\x", "end."])
def test_a_name_that_leads_elsewhere_is_refused(client: TestClient, script: Script, name: str) -> None:
    before = sorted(script.data.rglob("*"))
    answer = save(client, name)
    assert answer.status_code == 422
    assert "Choose another name" in answer.json()["error"]
    assert client.get(f"{API}/sets", params={"name": name}).status_code == 404
    assert client.delete(f"{API}/sets", params={"name": name}).status_code == 422
    assert sorted(script.data.rglob("*")) == before


def test_a_file_is_read_in_any_of_its_forms_and_not_kept(client: TestClient) -> None:
    def read(name: str, content: bytes) -> Any:
        return client.post(f"{API}/read", params={"name": name}, content=content)

    assert read("q.csv", "question;answer\nWo?;là\n".encode()).json()["rows"][0]["answers"] == ["là"]
    assert [row["question"] for row in read("q.txt", b"One?\nTwo?").json()["rows"]] == ["One?", "Two?"]
    assert read("q.jsonl", b'{"question": "Why?"}').json()["rows"][0]["question"] == "Why?"
    broken = read("q.jsonl", b"nonsense")
    assert broken.status_code == 422
    assert "q.jsonl, line 1 is not JSON" in broken.json()["error"]
    assert "not UTF-8" in read("q.txt", b"\xff\xfe\x00").json()["error"]
    assert "5000" in read("q.txt", b"Why?\n" * 5001).json()["error"]
    assert "larger than 4 MB" in read("q.txt", b"x" * (5 << 20)).json()["error"]
    assert client.get(API).json()["sets"] == []


def test_a_measurement_runs_behind_the_page_and_its_result_is_kept(
    client: TestClient, script: Script
) -> None:
    save(client)
    result = measured(client)
    assert result["name"] == "Mine"
    run = result["runs"][0]
    assert run["figures"]["recall"]["1"] == 0.5
    assert [row["outcome"] for row in run["rows"]] == ["right", "other"]
    assert "places" not in run["rows"][0]
    listed = client.get(API).json()["results"]
    assert [(each["id"], each["questions"], each["spoken"]) for each in listed] == [(result["id"], 2, False)]
    assert client.delete(f"{API}/results/{result['id']}").status_code == 200
    assert client.get(API).json()["results"] == []
    assert client.get(f"{API}/results/{result['id']}").status_code == 404


def test_two_settings_and_spoken_questions_reach_the_measurement(client: TestClient, script: Script) -> None:
    save(client)
    result = measured(client, changes={"k": "6"}, spoken=True, noise=10)
    (trial,) = script.evaluation.trials
    assert (trial.changes, trial.spoken, trial.noise) == ({"k": "6"}, True, 10.0)
    assert [(run["changed"], run["spoken"]) for run in result["runs"]] == [
        *((False, False), (False, True)),
        *((True, False), (True, True)),
    ]
    assert {tuple(each["of"]) for each in result["comparisons"]} == {(0, 2), (1, 3), (0, 1), (2, 3)}


@pytest.mark.parametrize(
    "changes",
    [{"k": "0"}, {"k": "many"}, {"k": "2.5"}, {"k": "nan"}, {"prompt": "/etc/passwd"}, {"llm": "some/model"}],
)
def test_nothing_but_what_is_offered_can_be_compared(
    client: TestClient, script: Script, changes: dict[str, str]
) -> None:
    save(client)
    answer = client.post(f"{API}/run", json={"name": "Mine", "changes": changes})
    assert answer.status_code == 409
    assert "cannot be compared" in answer.json()["error"]
    assert script.evaluation.trials == []


def test_one_at_a_time_and_it_can_be_stopped(client: TestClient, script: Script) -> None:
    save(client)
    script.evaluation.gate.clear()
    assert client.post(f"{API}/run", json={"name": "Mine"}).json()["state"] == "running"
    for path, body in (("run", {"name": "Mine"}), ("propose", {"count": 3})):
        second = client.post(f"{API}/{path}", json=body)
        assert second.status_code == 409
        assert "runs already" in second.json()["error"]
    conversation = client.post("/api/conversations").json()["id"]
    answer = client.post(f"/api/conversations/{conversation}/ask", json={"question": "When?"})
    assert '"done"' in answer.text, "nobody who asks waits for it"
    client.post(f"{API}/cancel")
    assert ended(client)["state"] == "cancelled"
    assert client.get(API).json()["results"] == []
    script.evaluation.gate.set()
    assert measured(client)["runs"], "and another one can begin"


def test_a_failure_is_told_as_it_is(client: TestClient, script: Script) -> None:
    save(client)
    script.evaluation.error = "The server is down. Start it again."
    client.post(f"{API}/run", json={"name": "Mine"})
    job = ended(client)
    assert (job["state"], job["error"]) == ("failed", "The server is down. Start it again.")


def test_a_set_that_is_gone_or_a_missing_voice_is_refused(client: TestClient, script: Script) -> None:
    assert "no set" in client.post(f"{API}/run", json={"name": "Mine"}).json()["error"]
    save(client)
    script.evaluation.muted = "There is no voice."
    spoken = client.post(f"{API}/run", json={"name": "Mine", "spoken": True})
    assert (spoken.status_code, spoken.json()["error"]) == (409, "There is no voice.")


def test_questions_are_proposed_other_than_those_that_are_there(client: TestClient, script: Script) -> None:
    client.post(f"{API}/propose", json={"count": 5, "without": ["When was it built?"]})
    job = ended(client)
    assert [row["id"] for row in job["rows"]] == ["p1"]
    assert job["rows"][0]["source"] == "lighthouse.pdf"


def test_sample_questions_are_there_with_the_sample_documents_and_stay_as_they_are(
    client: TestClient, script: Script
) -> None:
    assert client.get(API).json()["sample"] == ""
    script.evaluation.samples = ROWS
    assert client.get(API).json()["sample"] == SAMPLE
    assert len(client.get(f"{API}/sets", params={"name": SAMPLE}).json()["rows"]) == 2
    assert "another name" in save(client, SAMPLE).json()["error"]
    client.post(f"{API}/run", json={"name": SAMPLE})
    assert ended(client)["state"] == "done"


def test_answers_that_one_found_bad_are_ones_own_to_begin_with(client: TestClient, script: Script) -> None:
    conversation = client.post("/api/conversations").json()["id"]
    client.post(f"/api/conversations/{conversation}/ask", json={"question": "When?"})
    for rating in ("down", "", "down"):
        client.post(f"/api/conversations/{conversation}/turns/1/rating", json={"rating": rating})
    with (script.data / "feedback.jsonl").open("a") as file:
        file.write('broken\n{"question": "of nobody"}\n[]\n')
    assert client.get(API).json()["feedback"] == 1
    (row,) = client.get(f"{API}/feedback").json()["rows"]
    assert row["question"] == "When?"
    client.cookies.clear()
    client.get("/")
    assert client.get(f"{API}/feedback").json()["rows"] == [], "nobody sees another's questions"
    line = json.loads((script.data / "feedback.jsonl").read_text().splitlines()[0])
    assert len(line["by"]) == 16


def test_a_miss_shows_where_the_answer_stands_and_what_was_found(client: TestClient) -> None:
    save(client)
    result = measured(client)
    look = client.get(f"{API}/results/{result['id']}/0/1").json()
    assert look["kind"] == "wrong place"
    assert look["expected"]["text"] == "half past five"
    assert look["expected"]["page"] == 2
    assert look["sources"][0]["page"] == 1
    assert look["sources"][0]["text"] == PAGES[0]
    assert look["sources"][0]["pieces"][1] == ["It was built in 1869 by local masons.", True]
    assert look["answer"].startswith("It was built")
    for path in (f"{result['id']}/0/9", f"{result['id']}/7/0", "0000000000000-00000000/0/0"):
        assert client.get(f"{API}/results/{path}").status_code == 404


def test_results_are_downloaded_as_json_and_as_a_table_without_formulas(
    client: TestClient, script: Script
) -> None:
    save(client, rows=[*ROWS, Row("3", '=HYPERLINK("http://example.org")', answerable=False)])
    result = measured(client)
    path = f"{API}/results/{result['id']}"
    whole = client.get(path, params={"form": "json"})
    assert whole.json()["runs"][0]["rows"][0]["answer"] == f"{QUOTE} [1]"
    assert "attachment" in whole.headers["content-disposition"]
    table = client.get(path, params={"form": "csv"})
    assert table.headers["content-type"].startswith("text/csv")
    lines = list(csv.DictReader(io.StringIO(table.text.removeprefix("\ufeff"))))
    assert [line["miss"] for line in lines] == ["", "wrong place", "invented"]
    assert lines[0]["answer"] == f"{QUOTE} [1]"
    assert lines[2]["question"].startswith("'=")


def test_the_newest_results_are_kept(tmp_path: Path) -> None:
    results = Results(tmp_path)
    record: dict[str, Any] = {"changed": {}, "questions": [], "runs": []}
    ids = [results.add(f"set {number}", record) for number in range(KEPT + 3)]
    assert len({*ids}) == KEPT + 3
    assert len(results.summaries()) == KEPT
    assert len(list(tmp_path.iterdir())) == KEPT
    (tmp_path / f"{max(ids)}.json").write_text("broken")
    assert len(Results(tmp_path).summaries()) == KEPT - 1, "one that is broken hides no other"


def test_sign_in_guards_it(script: Script) -> None:
    script.users = {"ada": "engine"}
    with TestClient(build_ui(script.services()), base_url=HOST) as client:
        for path in ("", "/sets?name=Mine", "/feedback", "/results/0000000000000-00000000"):
            assert client.get(API + path).status_code == 401
        for path in ("/run", "/sets?name=Mine", "/propose", "/cancel", "/read?name=q.txt"):
            assert client.post(API + path).status_code == 401


def pages() -> list[Page]:
    return [Page(text, start, n) for n, (text, start) in enumerate(zip(PAGES, starts(), strict=True), 1)]


@pytest.mark.parametrize(
    ("question", "text", "page"),
    [
        ({"spans": [[starts()[1], starts()[1] + 8]]}, "Visitors", 2),
        ({"pages": [2], "answers": ["no such words", "HALF  past five"]}, "half past five", 2),
        ({"answers": ["forty kinds"]}, "forty kinds", 3),
        ({"pages": [3], "answers": ["no such words"]}, "", 3),
    ],
)
def test_where_an_answer_stands(question: dict[str, Any], text: str, page: int) -> None:
    place = expected_place({"source": "lighthouse.pdf"} | question, pages())
    assert place is not None
    assert (place["text"], place["page"]) == (text, page)


def test_a_place_that_is_not_known_is_none() -> None:
    assert expected_place({"source": "a"}, pages()) is None
    assert expected_place({"source": "a", "pages": [9]}, pages()) is None
    assert expected_place({"source": "a", "pages": [2]}, []) is None
    assert expected_place({"answers": ["forty"]}, pages()) is None
