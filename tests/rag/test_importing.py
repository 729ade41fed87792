"""Several threads import transformers for the first time at once, and each gets what it asks for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

AT_ONCE = """
import threading
from rag.importing import import_transformers

failed = []

def work():
    try:
        import_transformers()
        from transformers import AutoConfig
    except ImportError as error:
        failed.append(error)

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(failed))
"""


def test_nobody_finds_it_half_imported() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE], cwd=root, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "0\n", done.stderr
