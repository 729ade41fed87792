"""What a model takes: bytes of weights, of cache and of working memory, from its configuration alone.

It reads empty weights, so it needs neither a GPU nor a download. It does not know what memory there is
(`plan`), nor how weights are loaded (`load`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

Quantize = Literal["nf4", "int8", "none"]

LEAST = 2048  # tokens; under this a question with its passages does not fit
READ_AT_ONCE = 2048  # tokens of a prompt in one pass, at most
BLOCK, NESTED = 64, 256  # weights under one scale, scales under one scale (QLoRA, arXiv:2305.14314)
CODE = 4 * (256 + 16 + 1)  # bytes of a weight's own tables: the scales' codebook, NF4's, and their mean


@dataclass(frozen=True)
class Block:
    """A part of the model that lies on one device: an embedding, a decoder layer, the output."""

    name: str  # of the module
    weights: int  # bytes, as loaded
    layer: bool = False  # whether it keeps keys and values

    def cached(self, tokens: int) -> int:
        """Tokens whose keys and values it keeps: of a sliding window, too, `rag.llms.ragged` keeps all."""
        return tokens if self.layer else 0


@dataclass(frozen=True)
class Footprint:
    """What a model takes, in bytes."""

    blocks: tuple[Block, ...]  # in the order in which a token passes them
    cache_per_layer: int  # keys and values of one token in one layer
    working: int  # for one token of the prompt while it is read, on each device
    beside: int  # then, for each token that is there: one layer's keys and values for every head, a mask
    window: int  # tokens the model was made for
    parameters: int

    @property
    def weights(self) -> int:
        return sum(block.weights for block in self.blocks)

    @property
    def cache_per_token(self) -> int:
        return self.cache(1)

    @property
    def least(self) -> int:
        """Weights, and room for a question with its passages."""
        return self.needed(min(LEAST, self.window))

    def cache(self, tokens: int) -> int:
        return self.cache_per_layer * sum(block.cached(tokens) for block in self.blocks)

    def needed(self, tokens: int) -> int:
        """All of it, on one device."""
        return self.weights + self.cache(tokens) + self.reading(tokens)

    def reading(self, tokens: int) -> int:
        """What reading a prompt of so many tokens takes, on each device."""
        return self.working * min(tokens, READ_AT_ONCE) + self.beside * tokens


def footprint(model: Any, quantize: Quantize, element: int) -> Footprint:
    """Of a model whose weights may be empty; `element` is the bytes of one weight that is not quantized."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    packed = _packed_names(model) if quantize != "none" else frozenset()
    sizes = {
        name: packed_size(weight.shape, quantize) if name in packed else weight.numel() * element
        for name, weight in model.named_parameters()
    }
    return Footprint(
        blocks=tuple(_blocks(model, sizes)),
        cache_per_layer=2 * (getattr(config, "num_key_value_heads", None) or heads) * width * element,
        working=element * (8 * config.hidden_size + 3 * inner),
        beside=element * (2 * heads * width + READ_AT_ONCE),
        window=window_of(model.config),
        parameters=sum(weight.numel() for weight in model.parameters()),
    )


def window_of(config: Any) -> int:
    """Tokens the model was made for."""
    return int(getattr(config.get_text_config(), "max_position_embeddings", None) or 4096)


def packed_size(shape: Iterable[int], quantize: Quantize) -> int:
    """Bytes bitsandbytes makes of a linear layer's weight (rows, columns), its scales included."""
    rows, columns = shape
    if quantize == "int8":
        return rows * columns + 4 * rows  # a 32-bit scale for each row
    scales = -(-rows * columns // BLOCK)  # of 8 bits each, and these have scales of 32 bits
    return -(-rows * columns // 2) + scales + 4 * -(-scales // NESTED) + CODE


def _packed_names(model: Any) -> frozenset[str]:
    """Weights bitsandbytes packs: those of every linear layer but the output's, which is kept exact."""
    from torch import nn

    output = model.get_output_embeddings()
    return frozenset(
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not output
    )


def layers_of(model: Any) -> list[tuple[str, Any]]:
    """The decoder layers with their names: the longest list of modules in the model."""
    name, longest = _layer_list(model)
    return [(f"{name}.{index}", layer) for index, layer in enumerate(longest)]


def _layer_list(model: Any) -> tuple[str, Any]:
    from torch import nn

    lists = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=lambda pair: len(pair[1]), default=("", ()))


def _blocks(model: Any, sizes: dict[str, int]) -> Iterator[Block]:
    layers = {name for name, _ in layers_of(model)}
    totals = dict.fromkeys(_block_names(model, "", _layer_list(model)[0]), 0)
    for key, size in sizes.items():
        name = key
        while name not in totals:
            name = name.rpartition(".")[0]
        totals[name] += size
    for name, total in totals.items():
        yield Block(name, total, name in layers)


def _block_names(module: Any, prefix: str, layers: str) -> Iterator[str]:
    """What is not taken apart further: the layers, and whatever stands beside the list of layers."""
    for name, _ in module.named_parameters(recurse=False):
        yield prefix + name
    for name, child in module.named_children():
        whole = prefix + name
        if layers == whole or layers.startswith(f"{whole}."):
            yield from _block_names(child, f"{whole}.", layers)
        else:
            yield whole
