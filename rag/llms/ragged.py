"""One pass of a model over several sequences of different lengths, each with keys and values of its own.

The new tokens of all sequences stand in one row, so that every weight is read once for all of them and
nothing is padded; only attention goes from sequence to sequence. It needs a model whose attention can be
replaced (`supports`). It does not know what the sequences are, nor which of them come together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

ATTENTION = "parley_ragged"  # our attention's name in transformers' registry
FEW = 16  # tokens up to which queries are folded into their key's head, so that no key is copied


class KeyValues:
    """Keys and values of one sequence, with room for `capacity` tokens; `length` of them are there."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self._layers: dict[int, tuple[Any, Any]] = {}

    def put(self, layer: int, keys: Any, values: Any) -> tuple[Any, Any]:
        """Write the next tokens' (1, heads, n, dim) behind `length`; views of all there is then.

        `length` stays: the pass may yet fail, or its tokens turn out wrong.
        """
        if layer not in self._layers:
            self._layers[layer] = (self._room(keys), self._room(values))
        end = self.length + keys.shape[2]
        kept = self._layers[layer]
        for room, new in zip(kept, (keys, values), strict=True):
            room[:, :, self.length : end] = new
        return kept[0][:, :, :end], kept[1][:, :, :end]

    def _room(self, like: Any) -> Any:
        batch, heads, _, dim = like.shape
        return like.new_empty(batch, heads, self.capacity, dim)

    def copy(self, length: int, capacity: int) -> KeyValues:
        """The first `length` tokens, with room for `capacity`."""
        other = KeyValues(capacity)
        for layer, kept in self._layers.items():
            rooms = tuple(other._room(each) for each in kept)
            for room, each in zip(rooms, kept, strict=True):
                room[:, :, :length] = each[:, :, :length]
            other._layers[layer] = (rooms[0], rooms[1])
        other.length = length
        return other

    def bytes_by_device(self) -> dict[Any, int]:
        """What the room for all tokens takes."""
        taken: dict[Any, int] = {}
        for tensor in (tensor for pair in self._layers.values() for tensor in pair):
            taken[tensor.device] = taken.get(tensor.device, 0) + tensor.numel() * tensor.element_size()
        return taken


@dataclass
class Part:
    """What one sequence has in a pass: its next tokens, and of how many of the last the logits are wanted."""

    cache: KeyValues
    tokens: Sequence[int]
    wanted: int = 1


@dataclass
class Pass:
    """One forward pass; `check` is called before each layer's attention, and may raise."""

    parts: Sequence[Part]
    check: Callable[[], None] = lambda: None
    masks: dict[tuple[int, int, int, Any], Any] = field(default_factory=dict)

    def mask(self, new: int, whole: int, window: int, device: Any) -> Any:
        """(new, whole), true where one of the last `new` tokens may look; made once for all layers."""
        import torch

        key = (new, whole, window, device)
        if key not in self.masks:
            rows = torch.arange(whole - new, whole, device=device)[:, None]
            columns = torch.arange(whole, device=device)[None]
            self.masks[key] = (columns <= rows) & (columns > rows - window)
        return self.masks[key]


def supports(model: Any) -> bool:
    """Whether the model's attention can be replaced, and each sequence be computed beside any other.

    Not where it remembers more than keys and values, where its positions turn otherwise in a longer pass, or
    where only the mask, which is ours, bounds what is seen.
    """
    config = model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = {part.get("rope_type") for part in (rope, *rope.values()) if isinstance(part, dict)}
    own = {"longrope", "dynamic"} & kinds or getattr(config, "attention_chunk_size", None)
    replaceable = getattr(model, "_supports_attention_backend", False)
    return bool(replaceable and not own and not getattr(model, "_is_stateful", False))


def prepare(model: Any) -> None:
    """Let the model attend by way of `Pass`; what calls it otherwise, one sequence at a time, still may."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, attend)
    model.set_attn_implementation(ATTENTION)


def forward(model: Any, parts: Sequence[Part], check: Callable[[], None] = lambda: None) -> Any:
    """The wanted logits of all parts, one behind the other: (sum of wanted, vocabulary), float32.

    Each part's keys and values are written behind its cache's `length`, which the caller moves on. To be
    called under `torch.inference_mode`.
    """
    import torch

    tokens = [token for part in parts for token in part.tokens]
    places = [place for part in parts for place in _places(part)]
    wanted: list[int] = []
    end = 0
    for part in parts:
        end += len(part.tokens)
        wanted += range(end - part.wanted, end)
    device = model.get_input_embeddings().weight.device
    output = model(
        input_ids=torch.tensor([tokens], device=device),
        position_ids=torch.tensor([places], device=device),
        use_cache=False,
        logits_to_keep=torch.tensor(wanted or [end - 1]),
        ragged=Pass(parts, check),
    )
    return output.logits[0, : len(wanted)].float()


def _places(part: Part) -> range:
    return range(part.cache.length, part.cache.length + len(part.tokens))


def attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    ragged: Pass | None = None,
    **kwargs: Any,
) -> tuple[Any, None]:
    """Attention in the form that transformers calls; query (1, heads, tokens of all parts, dim)."""
    import torch

    if ragged is None:
        return _without_a_pass(module, query, key, value, scaling, sliding_window, softcap)
    ragged.check()
    outputs, start = [], 0
    for part in ragged.parts:
        span = slice(start, start + len(part.tokens))
        keys, values = part.cache.put(module.layer_idx, key[:, :, span], value[:, :, span])
        outputs.append(
            _attend(ragged, query[:, :, span], keys, values, scaling, sliding_window or 0, softcap)
        )
        start = span.stop
    return torch.cat(outputs, dim=2).transpose(1, 2), None


def _without_a_pass(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    scaling: float | None,
    window: int | None,
    softcap: float | None,
) -> tuple[Any, None]:
    """Of one sequence whose keys are all there."""
    if query.shape[0] != 1:
        raise ValueError("several sequences need a pass of their own: rag.llms.ragged.forward")
    output = _attend(Pass(()), query, key, value, scaling, window or 0, softcap)
    return output.transpose(1, 2), None


def _attend(
    ragged: Pass,
    query: Any,
    keys: Any,
    values: Any,
    scaling: float | None,
    window: int,
    softcap: float | None,
) -> Any:
    """(1, heads, new, dim), of the `new` last tokens of one sequence."""
    from torch.nn.functional import scaled_dot_product_attention

    new, whole = query.shape[2], keys.shape[2]
    heads, groups = keys.shape[1], query.shape[1] // keys.shape[1]
    if window and whole > window + new - 1:  # what none of them may see
        keys, values = keys[:, :, 1 - window - new :], values[:, :, 1 - window - new :]
        whole = keys.shape[2]
    mask = None
    causal = new == whole and not (window and whole > window)
    if new > 1 and not (causal and new > FEW):
        mask = ragged.mask(new, whole, window or whole, query.device)
    if new <= FEW:  # as if the group's heads were further tokens
        folded = query.reshape(1, heads, groups * new, query.shape[3])
        mask = mask.repeat(groups, 1) if mask is not None and groups > 1 else mask
        if softcap:
            output = _softcapped(folded, keys, values, mask, scaling, softcap)
        else:
            output = scaled_dot_product_attention(folded, keys, values, attn_mask=mask, scale=scaling)
        return output.reshape(1, heads * groups, new, output.shape[3])
    if groups > 1:
        keys, values = keys.repeat_interleave(groups, 1), values.repeat_interleave(groups, 1)
    if softcap:
        mask = ragged.mask(new, whole, window or whole, query.device)
        return _softcapped(query, keys, values, mask, scaling, softcap)
    return scaled_dot_product_attention(
        query, keys, values, attn_mask=mask, is_causal=mask is None, scale=scaling
    )


def _softcapped(query: Any, keys: Any, values: Any, mask: Any, scaling: float | None, softcap: float) -> Any:
    """With the scores squeezed into ±softcap, as Gemma 2 does, which no fused kernel of torch can."""
    import torch

    scale = query.shape[3] ** -0.5 if scaling is None else scaling
    scores = torch.tanh(query @ keys.transpose(2, 3) * (scale / softcap)) * softcap
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(-1, dtype=torch.float32).to(query.dtype) @ values
