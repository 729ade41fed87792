"""Index folders of odd files while readers are killed on the way: does every file get a result or a reason?

    python -m scripts.measure_odd FOLDER…

It runs `app.py index` in a data folder of its own, kills three of its reader processes while they read, and
prints what became of the files as one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from scripts.arguments import existing_folder

ROOT = Path(__file__).resolve().parent.parent
KILLS = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=existing_folder, metavar="FOLDER")
    folders: list[Path] = parser.parse_args().folders
    files = [path for each in folders for path in each.rglob("*") if path.is_file()]
    with tempfile.TemporaryDirectory(prefix="parley-odd-") as data:
        corpus = [argument for each in folders for argument in ("--corpus", str(each))]
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
    sys.exit(main())
