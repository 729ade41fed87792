"""Tiny random language models with a real tokenizer, saved to a folder and loaded like large ones.

They write nonsense, always the same; their templates, windows and files are like those of the real models.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from bench.shapes import MISTRAL_TEMPLATE, as_pretrained, train_bytes
from rag.llms import open_llm
from rag.llms.local import LocalChatModel

QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SAMPLE = (
    "The lighthouse on the northern cape was built in 1874 and is open from May to September. "
    "Answer only from the passages below, and say so when you do not know. Who keeps the light, and when?\n"
)


def tiny_mistral(folder: Path, *, layers: int = 2, hidden: int = 64, window: int = 4096) -> Path:
    """A Mistral whose chat template refuses a system role, as the 7B's does."""
    from transformers import MistralConfig

    sizes = _sizes(layers, hidden, window)
    return _save(folder, MistralConfig(**sizes, sliding_window=None), MISTRAL_TEMPLATE)


def tiny_qwen(folder: Path, *, layers: int = 2, hidden: int = 64, window: int = 4096) -> Path:
    """A Qwen2 with the family's template; its own settings ask for sampling, as the real ones do."""
    from transformers import GenerationConfig, Qwen2Config

    path = _save(folder, Qwen2Config(**_sizes(layers, hidden, window)), QWEN_TEMPLATE)
    taste = GenerationConfig(do_sample=True, temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05)
    taste.eos_token_id = [1, 3]
    taste.save_pretrained(path)
    return path


def tiny_base(folder: Path, *, layers: int = 2, hidden: int = 64, window: int = 4096) -> Path:
    """A Qwen2 base model: no chat template."""
    from transformers import Qwen2Config

    return _save(folder, Qwen2Config(**_sizes(layers, hidden, window)), None)


def tiny_of(folder: Path, family: str, *, window: int = 4096, **facts: Any) -> Path:
    """A model of a family by its name in transformers, with what that family has of its own."""
    from transformers import AutoConfig

    config = AutoConfig.for_model(family, **_sizes(2, 64, window) | facts)
    return _save(folder, config, QWEN_TEMPLATE)


def tiny_gguf(path: Path, *, window: int = 4096) -> Path:
    """A Llama with one layer, in one GGUF file with its tokenizer."""
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(1)
    writer.add_context_length(window)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(128)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(512)
    _add_tokenizer(writer)
    shapes = {"attn_q": (64, 64), "attn_k": (32, 64), "attn_v": (32, 64), "attn_output": (64, 64)}
    shapes |= {"ffn_gate": (128, 64), "ffn_up": (128, 64), "ffn_down": (64, 128)}
    named = {f"blk.0.{name}.weight": shape for name, shape in shapes.items()}
    random = np.random.default_rng(7)
    for name, shape in {"token_embd.weight": (512, 64), **named}.items():
        writer.add_tensor(name, random.normal(0, 0.1, shape).astype(np.float32))
    for name in ("output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"):
        writer.add_tensor(name, np.ones(64, np.float32))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        step()
    writer.close()
    return path


def _add_tokenizer(writer: Any) -> None:
    tokenizer = train_tokenizer()
    vocabulary = tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    tokens += [f"[unused{number}]" for number in range(512 - len(tokens))]
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * 4 + [1] * 508)
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_chat_template(QWEN_TEMPLATE)


def _sizes(layers: int, hidden: int, window: int) -> dict[str, Any]:
    return {
        "vocab_size": 512,
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": window,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }


def _save(folder: Path, config: Any, template: str | None) -> Path:
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    tokenizer = train_tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


def train_tokenizer() -> Any:
    """A byte-level BPE trained on a few sentences."""
    chat = ("<|im_start|>", "<|im_end|>")
    return as_pretrained(train_bytes([SAMPLE], 512, ("<s>", "</s>", *chat)), chat)


@functools.cache
def smollm2() -> LocalChatModel:
    """The bundled SmolLM2, loaded once in this process (some ten seconds); use `model_copy` to vary it."""
    llm = open_llm("smollm2", offline=True, max_new_tokens=64)
    assert isinstance(llm, LocalChatModel)
    return llm


def open_tiny(path: Path, **writing: Any) -> LocalChatModel:
    """One of the above through the real door."""
    llm = open_llm(str(path), offline=True, **writing)
    assert isinstance(llm, LocalChatModel)
    return llm
