from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ui.intake import Intake, Job
from ui.services import UiError

WAIT = 20.0  # seconds that a busy machine may take


class Work:
    """Each source is done when its event is set; those of `open` at once."""

    def __init__(self, *blocked: str) -> None:
        self.gates = {source: threading.Event() for source in blocked}
        self.done: list[tuple[str, bytes]] = []
        self.changed = threading.Condition()

    def __call__(self, job: Job, folder: Path) -> None:
        if job.source in self.gates:
            self.gates[job.source].wait(WAIT)
        if "bad" in job.source:
            raise RuntimeError("It is encrypted. Save it without a password.")
        with self.changed:
            self.done.append((job.source, (folder / "upload").read_bytes()))
            self.changed.notify_all()

    def wait_for(self, *sources: str) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: {name for name, _ in self.done} == set(sources), WAIT)


@pytest.fixture
def add(tmp_path: Path) -> Callable[[Intake, str, str], None]:
    def added(intake: Intake, owner: str, source: str) -> None:
        folder = intake.new_folder()
        (folder / "upload").write_bytes(source.encode())
        intake.submit(Job(owner, source, "upload"), folder)

    return added


Add = Callable[[Intake, str, str], None]


def states(intake: Intake) -> dict[str, str]:
    return {item.source: item.state for item in intake.items()}


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nobody_waits_for_somebody_elses(tmp_path: Path, add: Add) -> None:
    work = Work("long", "after")
    intake = Intake(tmp_path, work)
    add(intake, "ada", "long")
    add(intake, "ada", "after")
    add(intake, "grace", "short")
    assert work.wait_for("short")
    assert states(intake)["after"] == "waiting"
    for gate in work.gates.values():
        gate.set()
    assert work.wait_for("short", "long", "after")


def test_how_far_it_is(tmp_path: Path, add: Add) -> None:
    work = Work("one", "two")
    intake = Intake(tmp_path, work)
    assert intake.progress() is None
    for source in ("one", "two", "bad"):
        add(intake, "ada", source)
    work.gates["one"].set()
    assert work.wait_for("one")
    until(lambda: states(intake) == {"two": "reading", "bad": "waiting"})
    progress = intake.progress()
    assert progress is not None
    assert (progress.done, progress.total, progress.what) == (1, 3, "two")
    assert progress.seconds_left is not None
    work.gates["two"].set()
    until(lambda: states(intake) == {"bad": "failed"})
    assert intake.progress() is None
    add(intake, "ada", "one")
    until(lambda: intake.progress() is None)


def test_what_waited_is_done_after_a_restart(tmp_path: Path, add: Add) -> None:
    stuck = Work("one.txt", "two.txt")
    before = Intake(tmp_path, stuck)
    add(before, "ada", "one.txt")
    add(before, "ada", "two.txt")
    (before.new_folder() / "upload").write_bytes(b"half of a f")
    work = Work()
    after = Intake(tmp_path, work)  # the first one never gets on, as if its process were gone
    after.resume()
    assert work.wait_for("one.txt", "two.txt")
    assert dict(work.done) == {"one.txt": b"one.txt", "two.txt": b"two.txt"}


def test_a_failure_is_listed_until_it_is_forgotten(tmp_path: Path, add: Add) -> None:
    work = Work()
    intake = Intake(tmp_path, work)
    add(intake, "ada", "bad")
    add(intake, "ada", "good")
    assert work.wait_for("good")
    assert [item.reason for item in intake.items() if item.source == "bad"] == [
        "It is encrypted. Save it without a password."
    ]
    assert intake.forget("bad")
    assert not intake.forget("bad")
    assert "bad" not in states(intake)


def test_what_waits_is_limited_in_bytes(tmp_path: Path, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.intake.MAX_WAITING_BYTES", 5)
    intake = Intake(tmp_path, Work())
    with pytest.raises(UiError, match="Too many documents wait"):
        add(intake, "ada", "longer than five bytes")
