"""How finished an utterance is, 0 to 1: by how it sounds, and by its first and last words.

The sound is judged by smart-turn v3.2, a small Whisper encoder (Daily,
https://github.com/pipecat-ai/smart-turn), whose file lies in the package pipecat-ai and is run without that
package's own code. It hears the melody of a sentence, in 23 languages, but takes many a pause for an end, and
a synthetic voice's question for none. The words are looked at only where recognisers are good: how it begins
(a question, a request) and on which word it stops. Neither knows what was asked before. Without the model's
file the words judge alone; `missing()` says so.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import re
import threading
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speech.audio import RATE, Samples

SECONDS = 8  # what the model hears, from the end backwards
_WINDOW, _HOP, _MELS = 400, 160, 80
_PART = 320  # samples whose level is taken at once, 20 ms
_FILE = Path("audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx")
_REMEMBERED = 32  # judgements of sound; one pause is judged again with every new word

# Log odds of being complete, fitted to pauses in read sentences and to the ends of questions: what is so
# before anything is known, what the sound adds for each of its own log odds, what the words add for each of
# theirs, what each doubling of the length takes (questions are short), and what noise takes: in it both
# mislead.
_BEFORE_ALL, _SOUND, _SURE, _WORDS, _LENGTH, _NOISE = -0.4, 0.41, 4.0, 0.425, 0.25, 4.0
# The words' log odds: a question mark, a question or request, a full stop, a last word on which nothing
# stops. That word counts where a recogniser writes capitals and stops; the others often mishear it.
_ASKED, _QUESTION, _STOPPED, _HANGING, _SURELY_HANGING = 8.0, 5.0, 2.5, -0.75, -7.5
_SURELY = 0.25  # share of what noise takes from words that are written so well
# Loud and quiet parts this far apart, in dB, are noise and a quiet room.
_NOISY, _CLEAN = 24.0, 34.0

# Per language: words that a question or a request begins with, words before them that mean nothing, and words
# that no sentence stops on.
_HEADS = {
    "en": """
        what what's who who's whose whom which why how when where where's when's tell show explain compare
        describe give list find name summarize is are was were do does did can could will would should
        may might has have am
    """,
    "de": """
        was wer wen wem wie wo wann warum wieso weshalb welche welcher welches welchen woher wohin womit
        wofür ist sind war hat haben kann können darf gibt muss zeig zeige erkläre nenne vergleiche
        beschreibe erzähl
    """,
    "es": """
        qué que quién quien quiénes cuál cuáles cómo como cuándo dónde donde cuánto cuánta cuántos
        cuántas es son hay puedo puede tiene está dime muestra muéstrame explica explícame compara
        describe
    """,
    "fr": """
        que qu'est quel quelle quels quelles qui quoi quand où comment pourquoi combien est est-ce
        y-a-t-il peut puis-je peux dis montre montre-moi explique explique-moi compare décris donne
    """,
    "it": """
        che cosa cos'è chi quale quali quando dove dov'è come com'è perché quanto quanta quanti quante è
        sono c'è posso può dimmi mostra mostrami spiega spiegami confronta descrivi
    """,
    "pt": """
        que quê quem qual quais quando onde como porque quanto quanta quantos quantas é são há posso
        pode tem diz diga mostra mostre explica explique compara compare descreve
    """,
    "nl": """
        wat wie wiens welke welk wanneer waar waarom hoe hoeveel is zijn was heeft kan kunnen mag vertel
        toon laat leg vergelijk beschrijf noem
    """,
}
_BEFORE = {
    "en": """
        and so but well ok okay please no yes um uh oh hey sorry then now also at in on to for until
        from of about by the a
    """,
    "de": "und also aber gut bitte nein ja äh ähm ach dann bis um an in von für seit zu auf",
    "es": "y pero bueno vale por favor no sí eh pues entonces a de en hasta desde para con",
    "fr": "et mais bon alors non oui euh donc s'il vous plaît à de en depuis jusqu'à pour avec",
    "it": "e ma allora bene no sì eh per favore dunque a di in da fino con",
    "pt": "e mas bom então não sim por favor eh a de em até desde para com",
    "nl": "en maar dus goed nee ja eh uh alsjeblieft dan tot in van voor sinds op",
}
_OPEN = {
    "en": """
        the a an and or but of to because since if than that's my your our their his its i we they he
        she is are was were does do did with without for from in on at by about between into as um uh er
        erm like so very which who whose also while unless until then has been can could will would
        should not both either every some these those
    """,
    "de": """
        der die das den dem des ein eine einen einem einer eines und oder aber weil wenn dass ob als mit
        ohne für von zu zum zur in im am an auf bei aus nach über unter zwischen mein meine dein deine
        sein ihr unser ich wir er äh ähm also sehr ist sind war welche welcher
    """,
    "es": """
        el la los las un una unos unas y e o u pero porque si que de del a al con sin para por en entre
        mi tu su nuestro es son eh pues muy más yo
    """,
    "fr": """
        le la les l un une des du de d et ou mais parce car si que qu à au aux avec sans pour par dans
        en sur entre chez mon ma mes ton ta tes son sa ses notre votre je nous il elle est sont euh très
        donc
    """,
    "it": """
        il lo la i gli le un uno una e ed o ma perché se che di del della dei delle a al alla con senza
        per in nel nella su tra fra mio mia tuo tua suo sua è sono eh molto io
    """,
    "pt": """
        o a os as um uma uns umas e ou mas porque se que de do da dos das ao à com sem para por em no na
        nos nas entre meu minha seu sua é são eh muito eu
    """,
    "nl": """
        de het een en of maar omdat als dat die van voor met zonder in op aan bij uit naar over tussen
        mijn jouw zijn haar ons ik wij hij is zijn was uh eh heel erg om te
    """,
}
# In English these begin a clause as often as a question ("when it rains"): a verb has to follow. And after a
# verb its subject has to, for a statement that was badly heard begins with a verb, too.
_CLAUSES = frozenset({"when"})
_VERB = "is are was were do does did can could will would should may might has have am"
_SUBJECT = (
    "the a an there this that these those it i you we they he she one my your his her our their any all"
)
_VERBS, _SUBJECTS = frozenset(_VERB.split()), frozenset(_SUBJECT.split())
_LANGUAGES = tuple(_HEADS)
_HEAD = {code: frozenset(words.split()) for code, words in _HEADS.items()}
_LEAD = {code: frozenset(words.split()) for code, words in _BEFORE.items()}
_STOP = {code: frozenset(words.split()) for code, words in _OPEN.items()}
_FEWEST = 3  # words of a question
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+")


def completeness(audio: Samples, text: str) -> float:
    """How likely the person has finished, 0 to 1.

    Args:
        audio: the utterance so far, (n,) at 16 kHz, with the silence at its end; the last 8 s count.
        text: what the recogniser makes of it so far; empty where it has no words yet.
    """
    sound, words = sounds_complete(audio), words_complete(text)
    odds = _BEFORE_ALL + _WORDS * words - _LENGTH * math.log2(max(len(audio) / RATE, 0.5))
    if sound is not None:
        sound = min(max(sound, 1e-6), 1 - 1e-6)
        odds += _SOUND * min(max(math.log(sound / (1 - sound)), -_SURE), _SURE)
    odds -= _NOISE * noise(audio) * (_SURELY if _is_written(text) else 1)
    return 1 / (1 + math.exp(-odds))


def noise(audio: Samples) -> float:
    """How loud the room is: 0 for a quiet one, 1 where voice and noise can hardly be told apart."""
    edges = np.diff(np.nan_to_num(audio[-SECONDS * RATE :]))
    parts = edges[: len(edges) // _PART * _PART].reshape(-1, _PART).astype(np.float64)
    if not len(parts):
        return 0.0
    levels = 10 * np.log10((parts**2).mean(axis=1) + 1e-10)
    apart = float(np.percentile(levels, 95) - np.percentile(levels, 10))
    return min(max((_CLEAN - apart) / (_CLEAN - _NOISY), 0.0), 1.0)


def words_complete(text: str) -> float:
    """Log odds that the words add: above 0 for a whole question or request, below for one that hangs."""
    bare = text.rstrip(" \"'”’»)")
    words = _WORD.findall(bare.lower().replace("’", "'"))
    if not words:
        return 0.0
    judged = [_judged(words, code) for code in _spoken_in(words)] or [(False, False)]
    asks = sum(each for each, _ in judged) / len(judged)
    hangs = sum(each for _, each in judged) / len(judged)
    if bare.endswith(("...", "…", ",", "-", "–", ":", ";")):
        return _SURELY_HANGING
    if hangs and _is_written(text):
        return _SURELY_HANGING * hangs
    if bare.endswith("?"):
        return _ASKED
    stopped = _STOPPED if bare.endswith((".", "!")) else 0.0
    return max(_QUESTION * asks, stopped) + _HANGING * hangs


def _is_written(text: str) -> bool:
    """Whether the recogniser writes capitals and stops."""
    return text[:1].isupper() or any(mark in text for mark in ".,?!;:")


def missing() -> str:
    """What a person should know about the judgement; empty while the model is there."""
    return _loaded()[1]


def warm() -> None:
    """Load the model; the first utterance then does not wait for it."""
    sounds_complete(np.zeros(RATE, np.float32))


def _spoken_in(words: list[str]) -> list[str]:
    """The languages whose little words are the most frequent in it; none where there are no such words."""
    counts = {code: sum(word in _HEAD[code] or word in _STOP[code] for word in words) for code in _LANGUAGES}
    most = max(counts.values())
    tied = [code for code in _LANGUAGES if most and counts[code] == most]
    return tied[:1] if tied[:1] == ["en"] else tied


def _judged(words: list[str], code: str) -> tuple[bool, bool]:
    """Whether they begin as a question or a request, and whether they hang on a little word."""
    first = next((at for at, word in enumerate(words) if word not in _LEAD[code]), len(words))
    asks = words[first:]
    begins = len(asks) >= _FEWEST and asks[0] in _HEAD[code] and (code != "en" or _asks(*asks[:2]))
    return begins, words[-1] in _STOP[code]


def _asks(first: str, second: str) -> bool:
    """Whether an English sentence that begins like this is a question."""
    if first in _CLAUSES:
        return second in _VERBS
    return first not in _VERBS or second in _SUBJECTS


_LOCK = threading.Lock()
_heard: OrderedDict[bytes, float] = OrderedDict()


def sounds_complete(audio: Samples) -> float | None:
    """smart-turn's probability that the last 8 s end a turn; None without the model."""
    session, _ = _loaded()
    if session is None:
        return None
    recent = np.ascontiguousarray(audio[-SECONDS * RATE :], np.float32)
    key = hashlib.blake2b(recent.tobytes(), digest_size=16).digest()
    with _LOCK:
        if key in _heard:
            return _heard[key]
    features = log_mel(np.pad(recent, (SECONDS * RATE - len(recent), 0)))
    probability = float(session.run(None, {"input_features": features[None]})[0].ravel()[0])
    with _LOCK:
        _heard[key] = probability
        while len(_heard) > _REMEMBERED:
            _heard.popitem(last=False)
    return probability


def log_mel(audio: Samples) -> NDArray[np.float32]:
    """Whisper's features of (n,) samples, (80, n / 160): its feature extractor's, with do_normalize."""
    level = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)
    padded = np.pad(level.astype(np.float32), _WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP][:-1]
    hann = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * hann)) ** 2
    mel = np.log10(np.maximum(_filters() @ power.T.astype(np.float32), 1e-10))
    return np.asarray((np.maximum(mel, mel.max() - 8) + 4) / 4, np.float32)


@cache
def _filters() -> NDArray[np.float32]:
    """Slaney's triangular mel filters, (80, 201), each of the same area."""
    edges = _hertz(np.linspace(0, _mel(RATE / 2), _MELS + 2))
    slopes = edges[:, None] - np.linspace(0, RATE / 2, _WINDOW // 2 + 1)
    width = np.diff(edges)[:, None]
    shape = np.maximum(0, np.minimum(-slopes[:-2] / width[:-1], slopes[2:] / width[1:]))
    return np.asarray(shape * (2 / (edges[2:] - edges[:-2]))[:, None], np.float32)


def _mel(hertz: float) -> float:
    """Slaney's scale: linear up to 1 kHz, then logarithmic."""
    return 3 * hertz / 200 if hertz < 1000 else 15 + math.log(hertz / 1000) * 27 / math.log(6.4)


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mels < 15, 200 * mels / 3, 1000 * np.exp(math.log(6.4) / 27 * (mels - 15)))


@cache
def _loaded() -> tuple[Any, str]:
    """The model, or None and what to do; one for the process, which several threads may run."""
    path = _model_file()
    if path is None:
        return None, (
            "The model that hears when a sentence is finished is missing, so Parley goes by the words and "
            "waits longer. Install it: pip install --no-deps pipecat-ai"
        )
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]), ""
    except Exception as error:  # a damaged file raises onnxruntime's own kinds, which share no base
        return None, (
            f"The model that hears when a sentence is finished cannot be loaded ({type(error).__name__}), "
            "so Parley goes by the words. Install it again: "
            "pip install --no-deps --force-reinstall pipecat-ai"
        )


def _model_file() -> Path | None:
    """Found without importing the package, which would import much more."""
    spec = importlib.util.find_spec("pipecat")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        if (path := Path(folder) / _FILE).is_file():
            return path
    return None
