"""A GGUF file is parsed once, and what is loaded from it is what transformers alone would load."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from rag.cancel import Cancelled, CancelToken, scope
from rag.llms import ModelUnavailable, open_llm, outlook
from rag.llms.gguf_file import gguf_config
from rag.llms.loading_bar import watched
from tests.models import open_tiny, tiny_gguf


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose headers were parsed, in order."""
    import gguf

    files: list[str] = []

    class Counted(gguf.GGUFReader):  # type: ignore[misc]  # gguf has no types
        def __init__(self, path: str, *more: Any) -> None:
            files.append(Path(path).name)
            super().__init__(path, *more)

    monkeypatch.setattr(gguf, "GGUFReader", Counted)
    return files


def test_the_header_is_parsed_once_and_the_weights_are_the_same(tmp_path: Path, parsed: list[str]) -> None:
    import gguf
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    path = tiny_gguf(tmp_path / "tiny.gguf")
    original = gguf.GGUFReader, gguf.get_tensor_name_map
    llm = open_tiny(path, max_new_tokens=8, quantize="none")
    assert parsed == ["tiny.gguf"]
    assert (gguf.GGUFReader, gguf.get_tensor_name_map) == original
    plain = AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="tiny.gguf", quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    ours = llm.loaded.model.state_dict()
    assert ours.keys() == plain.state_dict().keys()
    for name, weight in plain.state_dict().items():
        assert torch.equal(ours[name], weight.to(ours[name].dtype)), name
    assert llm.invoke("Who keeps the light?").usage_metadata["output_tokens"] > 0  # type: ignore[index]


def test_a_look_before_the_load_costs_no_second_look(tmp_path: Path, parsed: list[str]) -> None:
    path = tiny_gguf(tmp_path / "tiny.gguf")
    assert outlook(str(path)).window == 4096
    assert outlook(str(path)).window == 4096
    assert parsed == ["tiny.gguf"]
    gguf_config(path).hidden_size = 3
    assert gguf_config(path).hidden_size == 64
    open_tiny(path)
    assert parsed == ["tiny.gguf"] * 2
    tiny_gguf(path, window=2048)
    os.utime(path, ns=(1, 1))
    assert outlook(str(path)).window == 2048


def test_a_file_that_is_cut_off_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    import gguf

    original = gguf.GGUFReader
    path = tiny_gguf(tmp_path / "tiny.gguf")
    path.write_bytes(path.read_bytes()[:2000])
    for opening in (open_llm, outlook):
        with pytest.raises(ModelUnavailable, match="cannot be loaded"):
            opening(str(path), offline=True)
    assert gguf.GGUFReader is original


def test_its_conversion_is_counted_and_can_be_cancelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, token, seen = tiny_gguf(tmp_path / "tiny.gguf"), CancelToken(), []

    def told(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 3:
            token.cancel()

    with scope(token), watched(told), pytest.raises(Cancelled):
        open_tiny(path)
    total = seen[0][1]
    assert seen == [(1, total), (2, total), (3, total)]
    assert total > 10
    assert "it/s" not in capsys.readouterr().err
