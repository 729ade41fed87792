"""A Whisper of any shape with random weights, saved as faster-whisper loads it.

The vocabulary is Whisper's own multilingual one, which the openai-whisper package carries. What such a model
writes has no sense, and ends after some tokens. It does not know what is measured.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

OTHER_TOKENS = 51766  # of the vocabulary; a token for each language comes to them
_SPREAD = 0.4  # of random weights 32 wide: enough for texts that differ from sound to sound
_SURENESS = 4.0
_END_LEANING = 8.0  # with each token; a text has some eight


def large_v3_turbo() -> Any:
    """The configuration that Whisper large-v3-turbo is published with."""
    return whisper_config(width=1280, heads=20, layers=32, decoder_layers=4, mels=128, languages=100)


def whisper_config(
    *, width: int, heads: int, layers: int, decoder_layers: int, mels: int, languages: int
) -> Any:
    from transformers import WhisperConfig

    return WhisperConfig(
        vocab_size=OTHER_TOKENS + languages,
        num_mel_bins=mels,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=decoder_layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
    )


def save_faster_whisper(folder: Path, config: Any, *, device: str = "cpu", seed: int = 0) -> Path:
    """A folder for `faster_whisper.WhisperModel(folder)`, with the ids and the tokenizer that it needs.

    Made on `device`; in float16 where that is a GPU.
    """
    import torch
    from ctranslate2.converters.transformers import WhisperLoader
    from transformers import WhisperForConditionalGeneration
    from whisper.tokenizer import get_tokenizer

    languages = config.vocab_size - OTHER_TOKENS
    words = get_tokenizer(multilingual=True, num_languages=languages, language="en", task="transcribe")
    with torch.device(device), torch.random.fork_rng():
        torch.manual_seed(seed)
        model = WhisperForConditionalGeneration(config).eval()
        inner = model.model.decoder
        scatter(model, inner.embed_tokens.weight, inner.embed_positions.weight, inner.layer_norm, words)
    heads = config.decoder_attention_heads
    spec: Any = WhisperLoader().get_model_spec(model.cpu())
    spec.config.lang_ids = list(words.all_language_tokens)
    spec.config.suppress_ids = list(words.non_speech_tokens)
    spec.config.suppress_ids_begin = [*words.encode(" "), words.eot]
    spec.config.alignment_heads = [[config.decoder_layers - 1, head] for head in range(heads)]
    encoding = words.encoding
    spec.register_vocabulary([_shown(encoding.decode_single_token_bytes(i)) for i in range(encoding.n_vocab)])
    spec.validate()
    spec.optimize(quantization="float16" if device.startswith("cuda") else None)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    _save_tokenizer(folder / "tokenizer.json", encoding)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"feature_size": config.num_mel_bins, "sampling_rate": 16000})
    )
    return folder


def scatter(model: Any, words: Any, positions: Any, norm: Any, tokenizer: Any) -> None:
    """Random weights that are sure, and lean to the end of the text the longer it is.

    Without that a window has 224 tokens, is decoded six times, and the next begins 20 ms later.
    """
    import torch

    width = len(norm.weight)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, _SPREAD * (32 / width) ** 0.5)
        words[tokenizer.timestamp_begin :] *= 0.1
        norm.weight.fill_(_SURENESS)
        growing = torch.arange(len(positions), device=positions.device)[:, None] * _END_LEANING
        end = words[tokenizer.eot]
        positions.copy_(growing * end / end.norm())


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
