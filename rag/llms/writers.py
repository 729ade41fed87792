"""Loaded weights → what writes with them: many answers at once where the model allows it, else one by one.

It knows both ways, and how to tell whether a model allows the first; it does not know what is written.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from rag.llms.alone import Alone
from rag.llms.batch import Batch
from rag.llms.ragged import KeyValues, Part, forward, prepare, supports
from rag.llms.run import Writer

if TYPE_CHECKING:
    from rag.llms.load import Loaded

log = logging.getLogger(__name__)

SHARE = 0.8  # of the free memory that keys and values may take
TRIED = 48  # tokens that a model is tried with
ALIKE = 0.99  # cosine of logits that differ by rounding alone; a wrong mask makes them differ much more


def open_writer(loaded: Loaded) -> Writer:
    """The fastest way to write with this model that gives the same text; the model is warm then."""
    model = loaded.model
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    if supports(model) and _agrees(model):
        return Batch(model, ends, free_memory)
    log.warning("%s writes one answer at a time: its attention cannot be shared", loaded.name)
    return Alone(model, ends, loaded.checkpoints)


def _agrees(model: Any) -> bool:
    """Whether the model says the same in pieces, with our attention, as at once with its own.

    Leaves it with ours if so, else with its own.
    """
    import torch

    own = model.config._attn_implementation
    vocabulary = model.get_input_embeddings().num_embeddings
    tokens = [(7 * n * n + 11) % vocabulary for n in range(TRIED)]
    with torch.inference_mode():
        device = model.get_input_embeddings().weight.device
        expected = model(torch.tensor([tokens], device=device), use_cache=False).logits[0].float()
        try:
            prepare(model)
            found = _in_pieces(model, tokens)
        except Exception as error:
            log.warning("replacing the attention failed (%s: %s)", type(error).__name__, error)
            alike = -1.0
        else:
            alike = float(torch.cosine_similarity(expected, found.to(expected.device)).min())
    if not alike >= ALIKE:  # nor where it is no number
        model.set_attn_implementation(own)
        log.warning("with its attention replaced the model differs (cosine %.3f)", alike)
    return alike >= ALIKE


def _in_pieces(model: Any, tokens: list[int]) -> Any:
    """The logits of all tokens, computed beside another sequence: many at once, a few, and one."""
    import torch

    cache, other, rows = KeyValues(len(tokens)), KeyValues(len(tokens)), []
    for start, end in ((0, 28), (28, 36), (36, 37), (37, len(tokens))):
        piece = tokens[start:end]
        rows.append(
            forward(model, [Part(other, piece[::-1], 0), Part(cache, piece, len(piece))])[: len(piece)]
        )
        cache.length, other.length = end, end
    return torch.cat(rows)


def free_memory(device: Any) -> int:
    """Bytes on a device that keys and values may take now."""
    import torch

    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(SHARE * (torch.cuda.mem_get_info(device)[0] + unused))
    import psutil  # type: ignore[import-untyped]

    return int(SHARE * psutil.virtual_memory().available)
