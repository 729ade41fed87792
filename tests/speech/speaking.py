"""A voice for tests: espeak-ng, from its package, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import numpy as np

from speech.audio import Samples, decode, from_int16, wav_bytes

_SCRIPT = """
import ctypes, sys, espeakng_loader
lib = ctypes.CDLL(espeakng_loader.get_library_path())
collect = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
def take(samples, count, events):
    if samples and count > 0:
        sys.stdout.buffer.write(ctypes.string_at(samples, 2 * count))
    return 0
callback = collect(take)
assert lib.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0) == 22050
lib.espeak_SetSynthCallback(callback)
lib.espeak_SetVoiceByName(b"en-us")
lib.espeak_SetParameter(1, 150, 0)
text = sys.stdin.buffer.read()
lib.espeak_Synth(text, len(text) + 1, 0, 1, 0, 1, None, None)
lib.espeak_Synchronize()
"""


@cache
def spoken(text: str) -> Samples:
    """The text aloud, (n,) at 16 kHz."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], input=text.encode(), capture_output=True, check=True
    )
    raw = from_int16(np.frombuffer(done.stdout, np.int16))
    return decode(wav_bytes(raw, 22050))
