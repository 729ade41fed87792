"""RetrievalQA against LangChain's own class of that name: what the model is sent, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_classic.chains import RetrievalQA as ClassicRetrievalQA
from langchain_classic.chains.question_answering import (
    map_reduce_prompt,
    map_rerank_prompt,
    refine_prompts,
    stuff_prompt,
)
from langchain_classic.output_parsers.regex import RegexParser
from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate

from rag.chains import CHAIN_TYPES, RetrievalQA
from tests.rag.scripted import Fixed, HashChat, HashLLM, passages

pytestmark = [
    pytest.mark.filterwarnings("ignore::langchain_core._api.deprecation.LangChainDeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The apply_and_parse method is deprecated:UserWarning"),
]

QUESTION = "Where {did} Harrison work?"
SCORES = RegexParser(regex=r"(.*?)\nScore: (\d*)", output_keys=["answer", "score"])


def text(*names: str, parser: RegexParser | None = None) -> PromptTemplate:
    template = " and ".join(f"{name.upper()} is {{{name}}}" for name in names)
    return PromptTemplate.from_template(f"A brace {{{{}}}}. {template}", output_parser=parser)


def chat(*names: str, parser: RegexParser | None = None) -> ChatPromptTemplate:
    turns = [("human" if at % 2 else "system", f"{name} = {{{name}}}") for at, name in enumerate(names)]
    return ChatPromptTemplate(turns, output_parser=parser)


def prompts_for(chain_type: str, make: Any) -> dict[str, Any]:
    """The templates a chain type needs, made by `text` or `chat`."""
    return {
        "stuff": lambda: {"prompt": make("context", "question")},
        "map_reduce": lambda: {
            "question_prompt": make("context", "question"),
            "combine_prompt": make("summaries", "question"),
        },
        "refine": lambda: {
            "question_prompt": make("context_str", "question"),
            "refine_prompt": make("question", "existing_answer", "context_str"),
        },
        "map_rerank": lambda: {"prompt": make("context", "question", parser=SCORES)},
    }[chain_type]()


def classic_defaults(chain_type: str, llm: Any) -> dict[str, Any]:
    """LangChain's own default templates for `llm`."""
    return {
        "stuff": lambda: {"prompt": stuff_prompt.PROMPT_SELECTOR.get_prompt(llm)},
        "map_reduce": lambda: {
            "question_prompt": map_reduce_prompt.QUESTION_PROMPT_SELECTOR.get_prompt(llm),
            "combine_prompt": map_reduce_prompt.COMBINE_PROMPT_SELECTOR.get_prompt(llm),
        },
        "refine": lambda: {
            "question_prompt": refine_prompts.QUESTION_PROMPT_SELECTOR.get_prompt(llm),
            "refine_prompt": refine_prompts.REFINE_PROMPT_SELECTOR.get_prompt(llm),
        },
        "map_rerank": lambda: {"prompt": map_rerank_prompt.PROMPT},
    }[chain_type]()


def both(
    model: type[HashChat] | type[HashLLM],
    chain_type: str,
    documents: list[Document],
    options: dict[str, Any],
    **fields: Any,
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """(what comes back, what the model was sent) of LangChain's class, and of ours."""
    out = []
    for made in (ClassicRetrievalQA, RetrievalQA):
        llm = model()
        qa = made.from_chain_type(
            llm=llm,
            chain_type=chain_type,
            retriever=Fixed(documents=documents),
            chain_type_kwargs=options,
            return_source_documents=True,
            **fields,
        )
        out.append((qa.invoke({"query": QUESTION}), llm.sent))
    return out[0], out[1]


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("make", [text, chat])
@pytest.mark.parametrize("model", [HashChat, HashLLM])
@pytest.mark.parametrize("chain_type", CHAIN_TYPES)
def test_same_calls_and_same_result(chain_type: str, model: Any, make: Any, count: int) -> None:
    classic, ours = both(model, chain_type, passages(count), prompts_for(chain_type, make))
    assert ours == classic
    assert ours[0]["source_documents"] == passages(count)
    assert len(ours[1]) == (1 if chain_type == "stuff" else count + (chain_type == "map_reduce"))


@pytest.mark.parametrize("model", [HashChat, HashLLM])
@pytest.mark.parametrize("chain_type", CHAIN_TYPES)
def test_same_with_the_default_templates_of_langchain(chain_type: str, model: Any) -> None:
    classic, ours = both(model, chain_type, passages(3), classic_defaults(chain_type, model()))
    assert ours == classic


@pytest.mark.parametrize("model", [HashChat, HashLLM])
@pytest.mark.parametrize("chain_type", CHAIN_TYPES)
def test_without_passages(chain_type: str, model: Any) -> None:
    options = prompts_for(chain_type, text)
    if chain_type in ("refine", "map_rerank"):  # there LangChain's fails; ours says that nothing was found
        with pytest.raises(IndexError):
            both(model, chain_type, [], options)
        qa = RetrievalQA.from_chain_type(
            model(), chain_type, options, retriever=Fixed(documents=[]), return_source_documents=True
        )
        answer = qa.invoke(QUESTION)
        assert "could not find" in answer["result"]
        assert answer["source_documents"] == []
        return
    classic, ours = both(model, chain_type, [], options)
    assert ours == classic
    assert len(ours[1]) == 1


@pytest.mark.parametrize("token_max", [30, 40, 60])
@pytest.mark.parametrize("collapse", [False, True])
@pytest.mark.parametrize("model", [HashChat, HashLLM])
def test_map_reduce_collapses_in_the_same_groups(model: Any, collapse: bool, token_max: int) -> None:
    options = {**prompts_for("map_reduce", text), "token_max": token_max}
    if collapse:
        options["collapse_prompt"] = PromptTemplate.from_template("Shorter: {summaries}")
    classic, ours = both(model, "map_reduce", passages(12), options)
    assert ours == classic
    assert len(ours[1]) > 12 + 1  # the groups were asked for


@pytest.mark.parametrize(
    ("chain_type", "option", "value"),
    [
        ("stuff", "document_prompt", PromptTemplate.from_template("{source}, {page}: {page_content}")),
        ("stuff", "document_separator", "\n---\n"),
        ("stuff", "document_variable_name", "facts"),
        ("refine", "document_prompt", PromptTemplate.from_template("{source}: {page_content}")),
        ("refine", "document_variable_name", "facts"),
        ("refine", "initial_response_name", "facts"),
        ("map_reduce", "map_reduce_document_variable_name", "facts"),
        ("map_reduce", "combine_document_variable_name", "facts"),
        ("map_rerank", "document_variable_name", "facts"),
    ],
)
def test_same_with_each_option(chain_type: str, option: str, value: Any) -> None:
    renamed = {
        ("stuff", "document_variable_name"): "context",
        ("refine", "document_variable_name"): "context_str",
        ("refine", "initial_response_name"): "existing_answer",
        ("map_reduce", "map_reduce_document_variable_name"): "context",
        ("map_reduce", "combine_document_variable_name"): "summaries",
        ("map_rerank", "document_variable_name"): "context",
    }.get((chain_type, option))

    def make(*names: str, parser: RegexParser | None = None) -> PromptTemplate:
        return text(*("facts" if name == renamed else name for name in names), parser=parser)

    options = {**prompts_for(chain_type, make), option: value}
    classic, ours = both(HashChat, chain_type, passages(3), options)
    assert ours == classic


@pytest.mark.parametrize(
    ("chain_type", "option"),
    [("map_reduce", "reduce_llm"), ("map_reduce", "collapse_llm"), ("refine", "refine_llm")],
)
def test_same_with_a_second_model(chain_type: str, option: str) -> None:
    options = prompts_for(chain_type, text)
    if option == "collapse_llm":
        options |= {"collapse_prompt": PromptTemplate.from_template("Shorter: {summaries}"), "token_max": 40}
    seen = []
    for made in (ClassicRetrievalQA, RetrievalQA):
        first, second = HashChat(), HashLLM()
        qa = made.from_chain_type(
            first,
            chain_type=chain_type,
            retriever=Fixed(documents=passages(6)),
            chain_type_kwargs={**options, option: second},
        )
        seen.append((qa.invoke(QUESTION), first.sent, second.sent))
    assert seen[0] == seen[1]
    assert seen[1][2]


def test_same_keys_in_every_spelling_of_the_call() -> None:
    results = []
    for made in (ClassicRetrievalQA, RetrievalQA):
        qa = made.from_chain_type(
            llm=HashChat(),
            retriever=Fixed(documents=passages(2)),
            chain_type_kwargs={"prompt": text("context", "question")},
        )
        other = made.from_chain_type(
            llm=HashChat(),
            retriever=Fixed(documents=passages(2)),
            chain_type_kwargs={"prompt": text("context", "question")},
            input_key="ask",
            output_key="answer",
        )
        results.append(
            [
                qa(QUESTION),
                qa({"query": QUESTION}),
                qa({"query": QUESTION, "more": 1}),
                qa({"query": QUESTION}, return_only_outputs=True),
                qa.run(QUESTION),
                qa.run(query=QUESTION),
                qa.invoke(QUESTION),
                qa.batch([QUESTION, {"query": "Why?"}]),
                other.invoke({"ask": QUESTION}),
                other(QUESTION, callbacks=[], tags=["a"], metadata={"b": 1}),
            ]
        )
        with pytest.raises(ValueError, match=r"Missing some input keys: \{'query'\}"):
            qa.invoke({"question": QUESTION})
        chain: Any = qa.combine_documents_chain
        assert chain.llm_chain.prompt.template.endswith("QUESTION is {question}")
    assert results[0] == results[1]


def test_same_from_llm() -> None:
    results = []
    for made in (ClassicRetrievalQA, RetrievalQA):
        llm = HashChat()
        qa = made.from_llm(llm, prompt=text("context", "question"), retriever=Fixed(documents=passages(2)))
        results.append((qa.invoke(QUESTION), llm.sent))
    assert results[0] == results[1]
    assert "Context:\n" in results[1][1][0][0][1]


WILD = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(st.lists(WILD, min_size=1, max_size=4), WILD, st.sampled_from(list(CHAIN_TYPES)), st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_same_for_any_text(texts: list[str], question: str, chain_type: str, messages: bool) -> None:
    documents = [Document(page_content=page, metadata={"source": page}) for page in texts]
    options = prompts_for(chain_type, chat if messages else text)
    seen = []
    for made in (ClassicRetrievalQA, RetrievalQA):
        llm = HashChat()
        qa = made.from_chain_type(
            llm, chain_type=chain_type, retriever=Fixed(documents=documents), chain_type_kwargs=options
        )
        seen.append((qa.invoke({"query": question}), llm.sent))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("model", [HashChat, HashLLM])
@pytest.mark.parametrize("chain_type", CHAIN_TYPES)
def test_the_stream_adds_up_to_what_langchain_gives(chain_type: str, model: Any) -> None:
    options = prompts_for(chain_type, text)
    fixed = Fixed(documents=passages(4))
    classic = ClassicRetrievalQA.from_chain_type(
        model(), chain_type=chain_type, retriever=fixed, chain_type_kwargs=options
    )
    ours = RetrievalQA.from_chain_type(
        model(), chain_type=chain_type, retriever=fixed, chain_type_kwargs=options
    )
    parts = list(ours.stream({"query": QUESTION}))
    assert [list(part) for part in parts] == [["source_documents"], *[["result"]] * (len(parts) - 1)]
    assert len(parts) > 3
    assert "".join(part["result"] for part in parts[1:]) == classic.invoke(QUESTION)["result"]
