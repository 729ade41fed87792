"""The figures for Prometheus: what is counted, what is not, and who may read them."""

from __future__ import annotations

import base64
import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from tests.ui.scripted import Script
from ui.metrics import BUCKETS, STAGES, Metrics
from ui.services import LibraryItem
from ui.web import build_ui

HOST = "http://127.0.0.1"


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(metrics: Metrics, sample: str, **labels: str) -> float:
    """One sample; 0 where there is none."""
    text = metrics.text()[0].decode()
    found = [
        entry.value
        for family in text_string_to_metric_families(text)
        for entry in family.samples
        if entry.name == sample and entry.labels == labels
    ]
    assert len(found) <= 1
    return found[0] if found else 0.0


def stage(metrics: Metrics, name: str, kind: str) -> tuple[float, float]:
    """How many there were, and their sum."""
    count, total = (f"parley_turn_stage_seconds_{part}" for part in ("count", "sum"))
    found = [value(metrics, sample, stage=name, kind=kind) for sample in (count, total)]
    return found[0], round(found[1], 6)


def test_a_turn_is_counted_stage_by_stage() -> None:
    metrics = Metrics()
    metrics.turn({"endpoint": 0.42, "first_audio": 0.66, "hidden": 1.0}, spoken=True)
    metrics.turn({"first_token": 0.06}, spoken=False)
    metrics.stage("first_audio", 0.34, spoken=True)
    assert value(metrics, "parley_turns_total", kind="spoken") == 1
    assert value(metrics, "parley_turns_total", kind="typed") == 1
    assert stage(metrics, "endpoint", "spoken") == (1, 0.42)
    assert stage(metrics, "first_audio", "spoken") == (2, 1.0)
    assert stage(metrics, "first_token", "typed") == (1, 0.06)
    assert stage(metrics, "hidden", "spoken") == (0, 0)
    under = {"stage": "first_audio", "kind": "spoken"}
    assert value(metrics, "parley_turn_stage_seconds_bucket", le="0.6", **under) == 1
    assert value(metrics, "parley_turn_stage_seconds_bucket", le="0.7", **under) == 2


def test_the_buckets_reach_from_ten_milliseconds_to_ten_seconds() -> None:
    assert (BUCKETS[0], BUCKETS[-1]) == (0.01, 10.0)
    assert list(BUCKETS) == sorted(set(BUCKETS))
    assert {0.15, 0.5, 0.7, 1.2} <= set(BUCKETS)


@given(st.dictionaries(st.one_of(st.sampled_from(STAGES), st.text()), st.floats()), st.booleans())
def test_nothing_that_a_page_makes_up_spoils_the_figures(timings: dict[str, float], spoken: bool) -> None:
    metrics = Metrics()
    metrics.turn(timings, spoken=spoken)
    for sample in families(metrics.text()[0].decode())["parley_turn_stage_seconds"].samples:
        assert sample.labels["stage"] in STAGES
        assert 0 <= sample.value <= 3600 * len(STAGES)
        assert math.isfinite(sample.value)


def test_interruptions_lost_frames_and_live_conversations() -> None:
    metrics = Metrics()
    assert value(metrics, "parley_interruptions_total", kind="real") == 0
    metrics.interruption("real")
    metrics.interruption("resumed")
    metrics.interruption("resumed")
    metrics.frames_lost(3)
    assert value(metrics, "parley_interruptions_total", kind="resumed") == 2
    assert value(metrics, "parley_frames_lost_total") == 3
    with metrics.conversation():
        with metrics.conversation():
            assert value(metrics, "parley_live_conversations") == 2
        assert value(metrics, "parley_live_conversations") == 1
    assert value(metrics, "parley_live_conversations") == 0


def test_any_thread_may_tell() -> None:
    metrics = Metrics()

    def tell() -> None:
        for _ in range(200):
            metrics.turn({"total": 0.5}, spoken=True)

    threads = [threading.Thread(target=tell) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stage(metrics, "total", "spoken") == (1600, 800)


def test_each_app_has_its_own_figures() -> None:
    one, other = Metrics(), Metrics()
    one.turn({}, spoken=False)
    assert value(other, "parley_turns_total", kind="typed") == 0


def test_what_cannot_be_counted_takes_nothing_else_away(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> int:
        raise OSError("the disk is gone")

    metrics = Metrics()
    metrics.count_documents(broken)
    assert math.isnan(value(metrics, "parley_documents"))
    assert "the disk is gone" in caplog.text


# The route


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


@pytest.fixture
def closed(script: Script) -> Iterator[TestClient]:
    """With sign-in."""
    script.users = {"ada": "engine:9", "grüße": "straße"}
    with TestClient(build_ui(script.services()), base_url=HOST, follow_redirects=False) as client:
        yield client


def basic(pair: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def test_without_sign_in_this_machine_may_read_them(script: Script) -> None:
    script.library.known["late.pdf"] = LibraryItem("late.pdf", "reading")
    with TestClient(build_ui(script.services()), base_url=HOST) as client:
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        found = families(answer.text)
        assert found["parley_documents"].samples[0].value == 1
        build = found["parley_build_info"].samples[0].labels
        assert set(build) == {"version", "python"}
        assert build["version"] == "0.1.0"
        assert "process_resident_memory_bytes" in found or not Path("/proc/self/stat").exists()
        assert client.get("/metrics", headers={"host": "example.org"}).status_code == 421
        modern = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
        assert modern.headers["content-type"].startswith("application/openmetrics-text")
        assert modern.text.rstrip().endswith("# EOF")


def test_with_sign_in_they_ask_for_a_user(closed: TestClient) -> None:
    refused = closed.get("/metrics")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic ")
    assert "parley_turns" not in refused.text
    for pair in ("ada:engine:9", "grüße:straße"):
        assert closed.get("/metrics", headers=basic(pair)).status_code == 200
    for headers in (basic("ada:wrong"), basic("ada"), basic(""), {"authorization": "Bearer ada"}):
        assert closed.get("/metrics", headers=headers).status_code == 401
    for broken in ("Basic", "Basic %%%", "basic /w==", "Basic " + "x" * 3000):
        assert closed.get("/metrics", headers={"authorization": broken}).status_code == 401


def test_the_password_of_the_metrics_opens_nothing_else(closed: TestClient) -> None:
    assert closed.get("/api/state", headers=basic("ada:engine:9")).status_code == 401
    assert closed.get("/metrics/more", headers=basic("ada:engine:9")).status_code == 404


def test_who_has_signed_in_on_the_page_may_read_them(closed: TestClient) -> None:
    closed.post("/login", data={"username": "ada", "password": "engine:9"})
    assert closed.get("/metrics").status_code == 200


def test_guessing_by_way_of_the_metrics_is_slowed_down(closed: TestClient) -> None:
    statuses = [closed.get("/metrics", headers=basic(f"ada:{n}")).status_code for n in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert closed.get("/metrics", headers=basic("ada:engine:9")).status_code == 429
    signed_in = closed.post("/login", data={"username": "ada", "password": "engine:9"})
    assert signed_in.json() == {"success": True}  # a scraper with an old password locks nobody out
    assert closed.get("/metrics").status_code == 200


def test_nobody_is_named_in_them(closed: TestClient) -> None:
    closed.post("/login", data={"username": "ada", "password": "engine:9"})
    conversation = closed.post("/api/conversations").json()["id"]
    closed.post(f"/api/conversations/{conversation}/ask", json={"question": "When does the lamp close?"})
    text = closed.get("/metrics").text
    for private in ("ada", conversation, "lamp", "lighthouse.pdf", "127.0.0.1"):
        assert private not in text


def test_a_proxys_name_reads_them_too(script: Script) -> None:
    services = replace(script.services(), hosts=("talk.example.org",))
    with TestClient(build_ui(services), base_url=HOST) as client:
        assert client.get("/metrics", headers={"host": "talk.example.org"}).status_code == 200
