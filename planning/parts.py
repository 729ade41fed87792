"""How much memory the parts beside the language model take. It knows sizes and where they are from; it opens
nothing and does not know the machine."""

from __future__ import annotations

from dataclasses import dataclass

from settings import Settings

MB = 1_000_000

# Memory of Whisper on a GPU in 16 bits, in MB: https://github.com/SYSTRAN/faster-whisper/issues/1030, on an
# RTX 2080 Ti. The other sizes: their files and what turbo takes beyond its own, 900 MB.
WHISPER_ON_GPU = {"large-v3-turbo": 2537, "turbo": 2537, "large-v3": 4521}
WHISPER_BEYOND = 900
# In main memory in 8 bits: half the file, and 350 MB that CTranslate2 takes beyond it (estimated).
WHISPER_ON_CPU_BEYOND = 350
SPHINX = 150  # estimated: acoustic model, dictionary, language model of the documents

# Search, in MB: weights in 32 bits, and 16 passages at their longest; measured with weights of these shapes.
EMBEDDERS = {"all-mpnet-base-v2": 438 + 620, "all-MiniLM-L6-v2": 91 + 135}
OTHER_EMBEDDER = 1400  # estimated: a model of 278 million parameters, such as the multilingual e5-base
RERANKERS = {"ms-marco-MiniLM-L6-v2": 91 + 135, "ms-marco-MiniLM-L12-v2": 133 + 135}
KOKORO = 600  # its file of 330 MB and what ONNX Runtime takes; it computes on the processor (estimated)
SMALL_VOICE = 20  # espeak-ng; gTTS speaks elsewhere


@dataclass(frozen=True)
class Part:
    """One part and what it takes, in bytes."""

    role: str
    name: str
    gpu: int  # on a GPU; 0: it never uses one
    memory: int  # in main memory, where it does not use a GPU


def parts_of(settings: Settings, *, gpu: bool) -> tuple[Part, ...]:
    """The parts that these settings open, for a place on a GPU or on the processor."""
    parts = [_hearing(settings.asr, gpu), _search(settings.embedder, gpu)]
    if settings.reranker not in ("", "none"):
        parts.append(_sized("reranking", settings.reranker, RERANKERS, gpu))
    if settings.tts != "none":
        parts.append(_voice(settings.tts))
    return tuple(parts)


def _hearing(name: str, gpu: bool) -> Part:
    from speech.asr import megabytes

    if name == "auto":
        name = "faster-whisper:large-v3-turbo" if gpu else "faster-whisper:base"
    if name.startswith("pocketsphinx"):
        return Part("hearing", name, 0, SPHINX * MB)
    size = name.rpartition(":")[2] or "base"
    file = megabytes(name) or megabytes("faster-whisper:base") or 0
    on_gpu = WHISPER_ON_GPU.get(size, file + WHISPER_BEYOND)
    on_cpu = file // 2 + WHISPER_ON_CPU_BEYOND
    return Part("hearing", name, on_gpu * MB if gpu else 0, on_cpu * MB)


def _search(name: str, gpu: bool) -> Part:
    if name == "auto":
        name = "all-mpnet-base-v2" if gpu else "all-MiniLM-L6-v2"
    return _sized("search", name, EMBEDDERS, gpu)


def _sized(role: str, name: str, sizes: dict[str, int], gpu: bool) -> Part:
    if name.startswith("remote"):
        return Part(role, name, 0, 0)
    size = sizes.get(name.rstrip("/").rpartition("/")[2], OTHER_EMBEDDER) * MB
    return Part(role, name, size if gpu else 0, size)


def _voice(name: str) -> Part:
    size = KOKORO if name.startswith("kokoro") else SMALL_VOICE
    return Part("voice", "gtts, else espeak-ng" if name == "auto" else name, 0, size * MB)
