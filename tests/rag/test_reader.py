"""The reader processes: several at once, each replaceable, none able to hold up or end the program."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from rag.cancel import Cancelled, CancelToken, scope
from rag.reader import Reader, Reply

PAGE = "place,opens\ngarden,nine\n"
_LONGEST = 30.0  # seconds until a reader must have come to a document


@pytest.fixture
def make(request: pytest.FixtureRequest) -> Callable[..., Reader]:
    def make(**options: float) -> Reader:
        reader = Reader(**options)  # type: ignore[arg-type]
        request.addfinalizer(reader.close)
        return reader

    return make


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(4)
    yield pool
    pool.shutdown(wait=False)  # where a test failed, a job ends only with its reader


class Pipe:
    """A document that is not there before `give`: whoever reads it waits."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name
        os.mkfifo(self.path)

    def reached(self) -> int:
        """Wait until somebody reads it; the descriptor to write to. While it is open, the reader waits."""
        until = time.monotonic() + _LONGEST
        while True:
            try:
                descriptor = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO or time.monotonic() > until:
                    raise
                time.sleep(0.01)
            else:
                os.set_blocking(descriptor, True)
                return descriptor

    def give(self, descriptor: int) -> None:
        os.write(descriptor, PAGE.encode())
        os.close(descriptor)


def processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "extract.py" in command_of(child)]


def command_of(process: psutil.Process) -> str:
    """Empty where it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # also a zombie
        return ""


def end(process: psutil.Process, how: signal.Signals = signal.SIGKILL) -> None:
    """End it, and wait until it has; its exit status is left to the reader, which goes by it."""
    process.send_signal(how)
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)


def text(reply: Reply) -> str:
    return str(reply["pages"][0]["text"])


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_text(PAGE)
    return path


def test_two_documents_are_read_at_the_same_time(
    make: Callable[..., Reader], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    reader = make(processes=2)
    pipes = [Pipe(tmp_path, name) for name in ("a.csv", "b.csv")]
    jobs = [pool.submit(reader.read, pipe.path, name="a.csv") for pipe in pipes]
    reached = [pipe.reached() for pipe in pipes]  # both are being read, and neither is there
    for pipe, descriptor in zip(pipes, reached, strict=True):
        pipe.give(descriptor)
    assert all("garden" in text(job.result()) for job in jobs)


def test_more_documents_than_processes_wait(
    make: Callable[..., Reader], page: Path, pool: ThreadPoolExecutor
) -> None:
    before = len(processes())
    reader = make(processes=2)
    jobs = [pool.submit(reader.read, page, name="a.csv") for _ in range(12)]
    assert all("garden" in text(job.result()) for job in jobs)
    assert len(processes()) - before <= 2


def test_a_document_that_hangs_is_given_up(make: Callable[..., Reader], tmp_path: Path, page: Path) -> None:
    reader = make(silence=0.3)
    assert reader.read(Pipe(tmp_path, "pipe").path, name="a.csv") == {"error": "timeout"}
    reader.silence = 60
    assert "garden" in text(reader.read(page, name="a.csv"))


def test_a_document_that_takes_too_long_in_all_is_given_up(
    make: Callable[..., Reader], tmp_path: Path
) -> None:
    assert make(seconds=0.3).read(Pipe(tmp_path, "pipe").path, name="a.csv") == {"error": "timeout"}


@contextmanager
def being_read(
    reader: Reader, pipe: Pipe, pool: ThreadPoolExecutor
) -> Iterator[tuple[psutil.Process, Future[Reply]]]:
    """The process that waits for the pipe, and the job."""
    before = set(processes())
    job = pool.submit(reader.read, pipe.path, name="a.csv")
    descriptor = pipe.reached()
    [process] = set(processes()) - before
    yield process, job
    os.close(descriptor)


def test_a_killed_process_costs_nothing(
    make: Callable[..., Reader], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    pipe = Pipe(tmp_path, "pipe")
    with being_read(make(), pipe, pool) as (process, job):
        end(process)
        again = pipe.reached()
    pipe.give(again)
    assert "garden" in text(job.result())


def end_each(pipe: Pipe, how: signal.Signals, times: int) -> None:
    """End so many processes, each once it reads the pipe; that stays open, so that none sees its end."""
    descriptors = []
    for _ in range(times):
        descriptors.append(pipe.reached())
        for process in processes():
            end(process, how)
    for descriptor in descriptors:
        os.close(descriptor)


def test_a_document_that_kills_every_process_is_given_up(
    make: Callable[..., Reader], tmp_path: Path, pool: ThreadPoolExecutor, page: Path
) -> None:
    reader = make()
    pipe = Pipe(tmp_path, "pipe")
    job = pool.submit(reader.read, pipe.path, name="a.csv")
    end_each(pipe, signal.SIGKILL, 4)
    assert job.result() == {"error": "killed"}
    assert "garden" in text(reader.read(page, name="a.csv"))


def test_a_document_that_crashes_two_processes_is_given_up(
    make: Callable[..., Reader], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    pipe = Pipe(tmp_path, "pipe")
    job = pool.submit(make().read, pipe.path, name="a.csv")
    end_each(pipe, signal.SIGSEGV, 2)
    assert job.result() == {"error": "crashed"}


def test_a_process_that_died_while_it_waited_is_not_used(make: Callable[..., Reader], page: Path) -> None:
    reader = make()
    before = set(processes())
    reader.read(page, name="a.csv")
    [process] = set(processes()) - before
    process.kill()
    assert "garden" in text(reader.read(page, name="a.csv"))


def test_a_cancel_does_not_wait_for_the_document(
    make: Callable[..., Reader], tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    token = CancelToken()

    def read() -> Reply:
        with scope(token):
            return make().read(pipe.path, name="a.csv")

    pipe = Pipe(tmp_path, "pipe")
    job = pool.submit(read)
    descriptor = pipe.reached()
    token.cancel()
    with pytest.raises(Cancelled):
        job.result(timeout=30)
    os.close(descriptor)


def test_an_interrupted_job_does_not_answer_the_next(
    make: Callable[..., Reader], page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = make()
    with monkeypatch.context() as patch:
        patch.setattr("rag.reader._Process.ask", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reader.read(page, name="a.csv")
    other = tmp_path / "b.csv"
    other.write_text(PAGE.replace("garden", "museum"))
    assert "museum" in text(reader.read(other, name="a.csv"))


def interrupted(*_: object) -> str:
    raise KeyboardInterrupt


def test_processes_end_when_there_is_nothing_to_do(make: Callable[..., Reader], page: Path) -> None:
    reader = make(idle=0.05)
    before = set(processes())
    reader.read(page, name="a.csv")
    started = [process for process in processes() if process not in before]
    assert psutil.wait_procs(started, timeout=30)[1] == []
    assert "garden" in text(reader.read(page, name="a.csv"))


def test_a_process_is_replaced_after_many_documents(
    make: Callable[..., Reader], page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.reader._JOBS", 2)
    reader = make()
    before = set(processes())
    reader.read(page, name="a.csv")
    assert len(set(processes()) - before) == 1
    assert "garden" in text(reader.read(page, name="a.csv"))
    assert set(processes()) <= before


def test_close_leaves_no_process(make: Callable[..., Reader], page: Path) -> None:
    before = set(processes())
    reader = make()
    reader.read(page, name="a.csv")
    reader.close()
    assert set(processes()) <= before
