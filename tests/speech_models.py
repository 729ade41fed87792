"""A tiny Whisper with random weights, saved as both engines load it: real shapes, real tokens, no sense.

The vocabulary is Whisper's own multilingual one, which the openai-whisper package carries.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

_WIDTH, _HEADS, _LAYERS, _MELS = 32, 2, 1, 80
_SPREAD = 0.4  # of the random weights: enough for texts that differ from sound to sound
_END, _TIMES = 50257, 50364  # token numbers: the end of the text, the first time stamp
_END_LEANING, _SURENESS = 8.0, 4.0


def save_openai_whisper(path: Path, seed: int = 0) -> Path:
    """A checkpoint for `whisper.load_model(path)`."""
    import whisper

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
    _scatter(
        model, model.decoder.token_embedding.weight, model.decoder.positional_embedding, model.decoder.ln
    )
    torch.save({"dims": dims.__dict__, "model_state_dict": model.state_dict()}, path)
    return path


def save_faster_whisper(folder: Path, seed: int = 0) -> Path:
    """A folder for `faster_whisper.WhisperModel(folder)`, with the ids and the tokenizer that it needs."""
    from ctranslate2.converters.transformers import WhisperLoader
    from transformers import WhisperConfig, WhisperForConditionalGeneration
    from whisper.tokenizer import get_tokenizer

    torch.manual_seed(seed)
    config = WhisperConfig(
        vocab_size=51865,
        num_mel_bins=_MELS,
        d_model=_WIDTH,
        encoder_layers=_LAYERS,
        decoder_layers=_LAYERS,
        encoder_attention_heads=_HEADS,
        decoder_attention_heads=_HEADS,
        encoder_ffn_dim=4 * _WIDTH,
        decoder_ffn_dim=4 * _WIDTH,
    )
    model = WhisperForConditionalGeneration(config).eval()
    inner = model.model.decoder
    _scatter(model, inner.embed_tokens.weight, inner.embed_positions.weight, inner.layer_norm)
    words = get_tokenizer(multilingual=True, num_languages=99, language="en", task="transcribe")
    spec: Any = WhisperLoader().get_model_spec(model)
    spec.config.lang_ids = list(words.all_language_tokens)
    spec.config.suppress_ids = list(words.non_speech_tokens)
    spec.config.suppress_ids_begin = [*words.encode(" "), words.eot]
    spec.config.alignment_heads = [[0, head] for head in range(_HEADS)]
    encoding = words.encoding
    spec.register_vocabulary([_shown(encoding.decode_single_token_bytes(i)) for i in range(encoding.n_vocab)])
    spec.validate()
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    _save_tokenizer(folder / "tokenizer.json", encoding)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"feature_size": _MELS, "sampling_rate": 16000})
    )
    return folder


def _scatter(model: Any, words: torch.Tensor, positions: torch.Tensor, norm: Any) -> None:
    """Random weights that are sure, and lean to the end of the text the longer it is.

    Without that a window has 224 tokens, is decoded six times, and the next begins 20 ms later.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, _SPREAD)
        words[_TIMES:] *= 0.1
        norm.weight.fill_(_SURENESS)
        growing = torch.arange(len(positions))[:, None] * _END_LEANING
        positions.copy_(growing * words[_END] / words[_END].norm())


def _save_tokenizer(path: Path, encoding: Any) -> None:
    """tiktoken's ranks as a `tokenizers` file: every token is the merge of its two best-ranked halves."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    ranks: dict[bytes, int] = encoding._mergeable_ranks
    vocabulary = {_shown(token): rank for token, rank in ranks.items()}
    merges = []
    for token in sorted(ranks, key=ranks.__getitem__):
        if len(token) > 1:
            left, right = _halves(token, ranks)
            merges.append((_shown(left), _shown(right)))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, fuse_unk=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(encoding._pat_str), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = sorted(encoding._special_tokens, key=encoding._special_tokens.__getitem__)
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    tokenizer.save(str(path))


def _halves(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The last merge that makes `token`, found by doing the merges of lower rank."""
    parts = [token[i : i + 1] for i in range(len(token))]
    while len(parts) > 2:
        pairs = [ranks.get(a + b, len(ranks)) for a, b in pairwise(parts)]
        at = pairs.index(min(pairs))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts[0], parts[1]


_BYTES = [*range(33, 127), *range(161, 173), *range(174, 256)]
_SHOWN = {byte: chr(byte) for byte in _BYTES} | {
    byte: chr(256 + number)
    for number, byte in enumerate(byte for byte in range(256) if byte not in set(_BYTES))
}


def _shown(token: bytes) -> str:
    """Bytes as the printable characters that byte-level tokenizers write for them."""
    return "".join(_SHOWN[byte] for byte in token)
