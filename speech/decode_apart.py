"""Runs in a process of its own: a recording → a file of its samples. `speech.recordings` starts it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_MAX_MEMORY = 2 * 2**30  # bytes


def main() -> int:
    source, target, seconds, timeout, size = sys.argv[1:]
    sys.path.append(str(Path(__file__).parent.parent))  # last: no module of ours shadows a library's
    _stand_back()
    from speech.audio import AudioError, decoded

    try:
        with Path(target).open("wb") as file:
            for piece in decoded(
                Path(source), max_seconds=float(seconds), timeout=float(timeout), max_bytes=int(size)
            ):
                file.write(piece.tobytes())
    except AudioError as error:
        sys.stdout.write(str(error))
        return 1
    return 0


def _stand_back() -> None:
    """A file that asks for all of the machine's memory ends this process alone; and others go first."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    os.nice(10)


if __name__ == "__main__":
    sys.exit(main())
