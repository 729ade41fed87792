"""Models of real shapes with random weights, saved to a folder and loaded from there like real ones.

Speed and memory are a model's shape, not its knowledge: nothing has to be downloaded to measure them. What
these models write has no sense. It does not know what is measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

VOCABULARY = 4096  # tokens of a tokenizer made here: some four letters each, as the real ones have
SPECIAL = ("<unk>", "<s>", "</s>")  # 0, 1 and 2, as Mistral has them
# As Mistral-7B-Instruct-v0.2's: roles must alternate, beginning with the user; no system role.
MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)


def mpnet_base() -> Any:
    """The configuration that all-mpnet-base-v2 is published with."""
    from transformers import MPNetConfig

    return MPNetConfig(
        vocab_size=30527,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=514,
        relative_attention_num_buckets=32,
    )


def size_on_disk(config: Any) -> int:
    """Bytes of the files that `save_causal` writes, without the few small ones."""
    from rag.llms.load import empty

    return sum(2 * weight.numel() for weight in empty(config).parameters())


def save_causal(folder: Path, config: Any, device: str, texts: Sequence[str]) -> Path:
    """A causal model in bfloat16 with a tokenizer made of `texts`; one layer is in memory at a time."""
    import torch
    from safetensors.torch import save_file

    from rag.llms.load import empty

    folder.mkdir(parents=True, exist_ok=True)
    config.dtype = torch.bfloat16
    config.save_pretrained(folder)
    draw = torch.Generator(device).manual_seed(7)
    shards, total = _shards(empty(config)), 0
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        tensors = {name: _drawn(shape, config, device, draw).cpu() for name, shape in shard.items()}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(tensors, file)
        total += sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    tokenizer = as_pretrained(train_bytes(texts, min(VOCABULARY, config.vocab_size), SPECIAL))
    tokenizer.chat_template = MISTRAL_TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def _shards(model: Any) -> list[dict[str, Any]]:
    """Names and shapes of the weights: those of each decoder layer, and the others."""
    from rag.llms.plan import layers_of

    layers = [f"{name}." for name, _ in layers_of(model)]
    shards: dict[str, dict[str, Any]] = {}
    for name, weight in model.named_parameters():
        layer = next((layer for layer in layers if name.startswith(layer)), "")
        shards.setdefault(layer, {})[name] = weight.shape
    return list(shards.values())


def _drawn(shape: Any, config: Any, device: str, draw: Any) -> Any:
    """Drawn as before a training; norms begin at one."""
    import torch

    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    room = torch.empty(shape, dtype=torch.bfloat16, device=device)
    return room.normal_(0.0, config.initializer_range, generator=draw)


def save_embedder(folder: Path, config: Any, device: str, texts: Sequence[str]) -> Path:
    """A sentence-transformers folder with the parts of all-mpnet-base-v2: mean of the words, unit length."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import AutoModel

    words = folder.with_name(folder.name + "-words")
    with torch.device(device), torch.random.fork_rng():
        torch.manual_seed(7)
        AutoModel.from_config(config).cpu().save_pretrained(words)
    tokenizer = as_pretrained(train_bytes(texts, min(VOCABULARY, config.vocab_size), SPECIAL))
    tokenizer.pad_token = SPECIAL[config.pad_token_id]
    tokenizer.model_max_length = config.max_position_embeddings - 2  # MPNet counts from 2
    tokenizer.save_pretrained(words)
    transformer = Transformer(str(words), max_seq_length=min(384, tokenizer.model_max_length))
    pooling = Pooling(transformer.get_embedding_dimension())
    model = SentenceTransformer(modules=[transformer, pooling, Normalize()], device="cpu")
    model.save(str(folder), create_model_card=False)
    return folder


def train_bytes(texts: Iterable[str], size: int, special: Sequence[str]) -> Any:
    """A byte-level BPE of `size` tokens: any text goes through it and comes back."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return bpe


def as_pretrained(bpe: Any, further: Sequence[str] = ()) -> Any:
    """As transformers loads it; `further`: special tokens besides the start and the end."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", extra_special_tokens=list(further)
    )
