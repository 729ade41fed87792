"""Index folders of odd files while readers are killed on the way: does every file get a result or a reason?

    python -m scripts.measure_odd ../shared/data/odd-pdfs ../shared/data/encodings ../shared/data/odd-audio

It runs `app.py index` in a data folder of its own, kills three of its reader processes while they read, and
prints what became of the files as one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parent.parent
KILLS = 3


def main(folders: list[str]) -> int:
    files = [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]
    with tempfile.TemporaryDirectory(prefix="parley-odd-") as data:
        corpus = [argument for folder in folders for argument in ("--corpus", folder)]
        command = [
            sys.executable,
            str(ROOT / "app.py"),
            "index",
            *corpus,
            "--json",
            "--offline",
            "--data",
            data,
        ]
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
        killed = _kill_readers(psutil.Process(process.pid))
        report = json.loads(process.communicate()[0])
    got = report["added"] + len(report["failed"])
    print(
        json.dumps(
            {
                "files": len(files),
                "read": report["added"],
                "reasons": len(report["failed"]),
                "lost": len(files) - got,
                "killed": killed,
                "seconds": round(time.monotonic() - began),
                "failed": report["failed"],
            },
            indent=1,
        )
    )
    return int(process.returncode != 0 or got != len(files))


def _kill_readers(program: psutil.Process) -> int:
    """Kill one reader after the other while it works; returns how many."""
    killed: set[int] = set()
    while program.is_running() and program.status() != psutil.STATUS_ZOMBIE and len(killed) < KILLS:
        for child in program.children():
            try:
                busy = "extract.py" in " ".join(child.cmdline()) and child.cpu_percent(0.05) > 0
            except psutil.NoSuchProcess:
                continue
            if busy and child.pid not in killed:
                child.kill()
                killed.add(child.pid)
                break
        time.sleep(0.5)
    return len(killed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
