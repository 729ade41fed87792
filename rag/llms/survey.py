"""What opening a model would mean: where it goes and what it costs, before much is fetched or loaded.

It knows where to ask; it does not know how a placement is found (`plan`), nor what a person is told of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rag.llms.hub import fetch_config, on_disk
from rag.llms.plan import where

if TYPE_CHECKING:
    from rag.llms.plan import Layout, Quantize


@dataclass(frozen=True)
class Outlook:
    """A model that could be opened."""

    name: str  # of a server's model: the one it has there
    where: str  # "GPU 0", "split over GPU 0 and 1", "CPU", or the server's URL
    weights_bytes: int  # as loaded; 0 for a server's
    window: int  # tokens of prompt and answer together
    download_bytes: int  # 0 for what is on this disk or on a server


def survey(
    name: str,
    *,
    quantize: Quantize | Literal["auto"] = "auto",
    layout: Layout = "auto",
    trust_remote_code: bool = False,
    token: str | None = None,
    offline: bool = False,
) -> Outlook:
    """Of a model by name or path; fetches its configuration if it is not on this disk.

    Raises:
        ModelUnavailable: not found, gated, no network, no room on the disk, not a model.
        DoesNotFit: not enough memory.
    """
    path, download = on_disk(name, offline=offline), 0
    if path is None:
        path, download = fetch_config(name, token, trust_remote_code)
    from rag.llms.load import plan_of

    plan = plan_of(name, path, quantize=quantize, layout=layout, trust_remote_code=trust_remote_code)
    return Outlook(name, where(plan), sum(plan.weights.values()), plan.tokens, download)


def survey_server(url: str, *, key: str | None, model: str | None, offline: bool) -> Outlook:
    """Of the model that an OpenAI-compatible server would answer with.

    Raises:
        ModelUnavailable, ServerError: as `rag.llms.remote.connect`.
    """
    from rag.llms.remote import connect

    llm = connect(url, key=key, model=model, offline=offline)
    return Outlook(llm.model_name, llm.url, 0, llm.context_window, 0)
