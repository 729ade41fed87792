"""Pronunciations for words that no dictionary has: espeak-ng's letter-to-sound rules, in CMU's ARPAbet.

It runs as a program of its own (words on standard input, a JSON object on standard output), because
espeak-ng keeps one state for the whole process, and the voice that speaks the answers may be using it. It
knows no dictionary.
"""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
from collections.abc import Iterable

# espeak-ng's mnemonics for its American voice → the phones of CMU's dictionary.
_PHONES = {
    "a": "AE", "aa": "AE", "0": "AA", "A": "AA", "A:": "AA", "A@": "AA R", "A~": "AA N", "@": "AH",
    "@2": "AH", "@-": "AH", "a#": "AH", "@L": "AH L", "V": "AH", "3": "ER", "3:": "ER", "I": "IH",
    "I2": "IH", "I#": "IH", "i": "IY", "i:": "IY", "E": "EH", "e": "EH", "e:": "EY", "eI": "EY",
    "o": "OW", "o:": "OW", "oU": "OW", "u": "UW", "u:": "UW", "U": "UH", "O": "AO", "O:": "AO",
    "O2": "AO", "O~": "AO N", "o@": "AO R", "O@": "AO R", "aI": "AY", "aU": "AW", "OI": "OY",
    "i@": "IY AH", "i@3": "IH R", "e@": "EH R", "U@": "UH R", "aI@": "AY AH", "aI3": "AY ER",
    "n": "N", "n-": "AH N", "m": "M", "m-": "AH M", "N": "NG", "s": "S", "z": "Z", "S": "SH",
    "Z": "ZH", "f": "F", "v": "V", "T": "TH", "D": "DH", "h": "HH", "x": "K", "k": "K", "g": "G",
    "p": "P", "b": "B", "t": "T", "t#": "T", "t2": "T", "d": "D", "tS": "CH", "dZ": "JH", "l": "L",
    "l#": "L", "r": "R", "r-": "R", "j": "Y", "w": "W",
}  # fmt: skip
_SEPARATOR = "_"
_UTF8 = 1


def pronounce(words: Iterable[str], *, timeout: float = 30.0) -> dict[str, str]:
    """ARPAbet pronunciations ("N EH T") of the words that can be said; the others are left out.

    Words in capitals may be spelled. Raises `OSError` or `subprocess.SubprocessError` when espeak-ng cannot
    run.
    """
    done = subprocess.run(
        [sys.executable, __file__],
        input="\n".join(words),
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def arpabet(mnemonics: str) -> str:
    """espeak-ng's mnemonics, separated by "_", in ARPAbet; what has no counterpart is passed over."""
    parts = re.split(r"[_ ]+", re.sub(r"[',;%=|]", "", mnemonics))
    return " ".join(_PHONES[part] for part in parts if part in _PHONES)


def _main() -> None:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    if library.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0) < 0:
        raise OSError("espeak-ng cannot start")
    library.espeak_SetVoiceByName(b"en-us")
    found = {}
    for word in sys.stdin.buffer.read().decode().split("\n"):
        text = ctypes.c_char_p(word.encode())
        mnemonics = library.espeak_TextToPhonemes(ctypes.pointer(text), _UTF8, ord(_SEPARATOR) << 8)
        if phones := arpabet(mnemonics.decode(errors="ignore")):
            found[word] = phones
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    _main()
