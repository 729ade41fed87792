"""A model's folder → weights and tokenizer, on the right device, quantized if asked.

It knows dtypes, bitsandbytes and GGUF; it does not know the hub (`hub`), nor how text is generated.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rag.importing import import_transformers
from rag.llms.errors import DoesNotFit, ModelUnavailable, is_memory
from rag.llms.fallback import first_that_loads, plans
from rag.llms.gguf_file import gguf_config, is_gguf, parsed_once
from rag.llms.hub import first_qwen_refusal, raw_config
from rag.llms.machine import MEMORY_SPEED, choose, cpu_dtype, this_machine
from rag.llms.plan import GIB, Layout, Plan, Quantize, layers_of
from rag.llms.weight_files import refuse_broken

log = logging.getLogger(__name__)

FIRST_QWEN = {2048: "1.8B", 4096: "7B", 5120: "14B", 8192: "72B"}  # hidden size → model


@dataclass(frozen=True)
class Loaded:
    """A model that is ready: facts that do not change from call to call."""

    name: str
    tokenizer: Any
    model: Any
    window: int  # tokens of prompt and answer together, by the model and by the memory
    checkpoints: tuple[Any, ...]  # modules before which a generation may be stopped
    plan: Plan
    notice: str = ""  # what a person should know about how it was loaded; "" when there is nothing


def load(
    name: str,
    path: Path,
    *,
    quantize: Quantize | Literal["auto"] = "auto",
    layout: Layout = "auto",
    trust_remote_code: bool = False,
) -> Loaded:
    """Load the model in the folder `path` (or the GGUF file `path`); nothing is fetched.

    quantize: "auto" is NF4 on a GPU; without one it is nothing where the model fits as it is (faster, and
        exact), else NF4.

    Raises:
        ModelUnavailable: not a model, a package is missing, own code that is not trusted.
        DoesNotFit: not enough memory.
    """
    source = _source(path) | {"trust_remote_code": trust_remote_code}
    reading = parsed_once() if is_gguf(path) else nullcontext()
    with explained(name, trust_remote_code), reading:
        config = configuration(name, path, trust_remote_code)
        shape = empty(config, trust_remote_code)
        wishes: dict[str, Any] = {"quantize": quantize, "layout": layout, "name": name}
        wishes["packed"] = is_packed(path, config)
        first = choose(shape, this_machine(), **wishes)
        candidates = plans(first, shape, this_machine, **wishes)
        if path.is_dir():
            refuse_broken(name, path)
        tokenizer = _tokenizer(source)
        model, plan, notice = first_that_loads(
            name, candidates, lambda plan: _weights(name, config, source, plan)
        )
    _warn_if_slow(name, plan)
    _tame(model, tokenizer)
    log.info("loaded %s: %s, %s, window %d", name, plan.quantize, model.dtype, plan.tokens)
    return Loaded(name, tokenizer, model, plan.tokens, _checkpoints(model), plan, notice)


def plan_of(
    name: str,
    path: Path,
    *,
    quantize: Quantize | Literal["auto"] = "auto",
    layout: Layout = "auto",
    trust_remote_code: bool = False,
) -> Plan:
    """Where `load` would put the model now; of a folder it needs the configuration alone.

    Raises:
        ModelUnavailable, DoesNotFit: as `load`.
    """
    with explained(name, trust_remote_code):
        config = configuration(name, path, trust_remote_code)
        return choose(
            empty(config, trust_remote_code),
            this_machine(),
            quantize=quantize,
            layout=layout,
            packed=is_packed(path, config),
            name=name,
        )


@contextmanager
def explained(name: str, trusted: bool) -> Iterator[None]:
    """What goes wrong within, as the person should read it."""
    from safetensors import SafetensorError

    try:
        yield
    except ImportError as error:
        raise ModelUnavailable(_missing_package(name, error)) from error
    except MemoryError as error:
        raise DoesNotFit(_out_of_memory(name)) from error
    except (OSError, ValueError, LookupError, RuntimeError, struct.error, SafetensorError) as error:
        if is_memory(error):
            raise DoesNotFit(_out_of_memory(name)) from error
        raise ModelUnavailable(_unreadable(name, error, trusted)) from error


def _source(path: Path) -> dict[str, Any]:
    """Where transformers finds the files; never on a network."""
    if is_gguf(path):
        return {
            "pretrained_model_name_or_path": str(path.parent),
            "gguf_file": path.name,
            "local_files_only": True,
        }
    return {"pretrained_model_name_or_path": str(path), "local_files_only": True}


def configuration(name: str, path: Path, trust_remote_code: bool = False) -> Any:
    """The configuration of the model in a folder or a GGUF file; call it within `explained`."""
    import_transformers()
    from transformers import AutoConfig

    if is_gguf(path):
        return gguf_config(path)
    raw = raw_config(path)
    if raw.get("model_type") == "qwen":
        size = FIRST_QWEN.get(raw.get("hidden_size", 0), "7B")
        raise ModelUnavailable(first_qwen_refusal(size, chat="chat" in name.lower()))
    return AutoConfig.from_pretrained(**_source(path), trust_remote_code=trust_remote_code)


def is_packed(path: Path, config: Any) -> bool:
    """Whether the model's files decide how its weights are kept."""
    return is_gguf(path) or getattr(config, "quantization_config", None) is not None


def _warn_if_slow(name: str, plan: Plan) -> None:
    size = plan.weights.get("cpu", 0)
    if size > 4 * GIB:
        log.warning("%s runs without a GPU: about %.1f s for each token", name, size / MEMORY_SPEED)


def empty(config: Any, trust_remote_code: bool = False) -> Any:
    """The model without its weights."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    model.tie_weights()
    return model


def _tokenizer(source: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(**source, padding_side="right")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer("warm")  # the first call may set truncation; later ones only read, so threads may share it
    return tokenizer


def _weights(name: str, config: Any, source: dict[str, Any], plan: Plan) -> Any:
    from transformers import AutoModelForCausalLM

    dtype = _dtype(plan)
    options: dict[str, Any] = {"config": config, "dtype": dtype, "device_map": dict(plan.device_map)}
    if "gguf_file" in source:
        from transformers import GgufConfig

        options["quantization_config"] = GgufConfig(dequantize=True)
    elif plan.quantize != "none":
        options["quantization_config"] = quantization(plan.quantize, dtype)
    model, found = AutoModelForCausalLM.from_pretrained(**source, **options, output_loading_info=True)
    if lacking := sorted(found["missing_keys"]):
        raise ModelUnavailable(
            f"{name} cannot be loaded: its files lack {len(lacking)} of the weights its config.json names, "
            f"such as {lacking[0]}. They are of another model; download it again, or choose another one."
        )
    model.eval()
    return model


def _dtype(plan: Plan) -> Any:
    """Of what is not quantized, and of what is computed."""
    import torch

    if plan.quantize == "int8":
        return torch.float16  # what LLM.int8() computes in; anything else is cast in every layer
    if "cpu" in plan.weights:
        return cpu_dtype()
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def quantization(kind: Quantize, dtype: Any) -> Any:
    """4-bit NormalFloat with double quantization that computes in `dtype`, or 8-bit."""
    from transformers import BitsAndBytesConfig

    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _tame(model: Any, tokenizer: Any) -> None:
    """Keep of the model's own generation settings what is fact (its end tokens), drop what is taste."""
    from transformers import GenerationConfig

    own = model.generation_config
    ends = own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id]
    ends = sorted({end for end in (*ends, tokenizer.eos_token_id) if end is not None})
    model.generation_config = GenerationConfig(
        bos_token_id=own.bos_token_id, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id
    )


def _checkpoints(model: Any) -> tuple[Any, ...]:
    """The parts of each decoder layer (attention, MLP, norms)."""
    return tuple(part for _, layer in layers_of(model) for part in layer.children())


def _missing_package(name: str, error: ImportError) -> str:
    if error.name:
        return f"{name} needs a package that is not installed. Install it with: pip install {error.name}"
    return f"{name} needs a package that is not installed: {str(error).strip().splitlines()[0]}"


def _out_of_memory(name: str) -> str:
    return (
        f"The memory ran out while {name} was loaded. Close other programs that use it, quantize to nf4, "
        "or choose a smaller model."
    )


def _unreadable(name: str, error: Exception, trusted: bool) -> str:
    reason = str(error).strip().split("\n")[0]
    if "trust_remote_code" in str(error) and not trusted:
        return (
            f"{name} brings its own code, which is not run unless you allow it. Read that code, then set "
            "PARLEY_TRUST_REMOTE_CODE=1; or choose a model that transformers knows."
        )
    if "Unrecognized configuration class" in reason:
        return f"{name} is a model that does not write text. Choose one that does, such as an instruct model."
    return f"{name} cannot be loaded: {reason}. Check its name or folder, or choose another model."
