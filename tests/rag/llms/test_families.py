"""Every family loads and answers by the same path, whole and in 4 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.models import open_tiny, tiny_of
from tests.rag.llms.test_footprint import cache_bytes, tensor_bytes

SLIDING = {"head_dim": 16, "sliding_window": 32, "query_pre_attn_scalar": 16}
FAMILIES: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": None},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 16},
    "llama": {"head_dim": 16},
    "gemma2": SLIDING,
    "gemma3_text": SLIDING,
    "phi3": {"pad_token_id": 1},
}
QUESTION = (
    2 * "Who keeps the light on the northern cape, and when is it open? "
)  # longer than the sliding window


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_loads_as_planned_and_answers(family: str, tmp_path: Path) -> None:
    path = tiny_of(tmp_path, family, **FAMILIES[family])
    whole = open_tiny(path, quantize="none", max_new_tokens=6)
    facts = whole.loaded.plan.facts
    assert tensor_bytes(whole.loaded.model) == facts.weights
    assert cache_bytes(whole.loaded.model, 20) == facts.cache(20)
    for llm in (whole, open_tiny(path, quantize="nf4", max_new_tokens=6)):
        said: Any = llm.invoke(QUESTION)
        assert said.usage_metadata["input_tokens"] > 32
        assert 1 <= said.usage_metadata["output_tokens"] <= 6
