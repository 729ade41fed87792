"""A tiny Whisper with random weights, saved as both engines load it: real shapes, real tokens, no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bench.whisper import save_faster_whisper, scatter, whisper_config

__all__ = ["save_faster_whisper", "save_openai_whisper", "tiny_whisper"]

_WIDTH, _HEADS, _LAYERS, _MELS, _LANGUAGES = 32, 2, 1, 80, 99


def tiny_whisper() -> Any:
    return whisper_config(
        width=_WIDTH, heads=_HEADS, layers=_LAYERS, decoder_layers=_LAYERS, mels=_MELS, languages=_LANGUAGES
    )


def save_openai_whisper(path: Path, seed: int = 0) -> Path:
    """A checkpoint for `whisper.load_model(path)`."""
    import whisper
    from whisper.tokenizer import get_tokenizer

    torch.manual_seed(seed)
    dims = whisper.ModelDimensions(
        n_mels=_MELS,
        n_audio_ctx=1500,
        n_audio_state=_WIDTH,
        n_audio_head=_HEADS,
        n_audio_layer=_LAYERS,
        n_vocab=51865,
        n_text_ctx=448,
        n_text_state=_WIDTH,
        n_text_head=_HEADS,
        n_text_layer=_LAYERS,
    )
    model = whisper.Whisper(dims)
    words = get_tokenizer(multilingual=True, num_languages=_LANGUAGES)
    decoder = model.decoder
    scatter(model, decoder.token_embedding.weight, decoder.positional_embedding, decoder.ln, words)
    torch.save({"dims": dims.__dict__, "model_state_dict": model.state_dict()}, path)
    return path
