"""split_documents: exact places, nothing lost, sizes kept, the heading that a chunk belongs to."""

from __future__ import annotations

import logging
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_text_splitters import CharacterTextSplitter

from rag.chunks import Chunk, split_documents

# Repeats, blank lines, headings, long words, sentences and wide characters, in any order.
PIECES = (
    "a",
    "a",
    " ",
    "\n",
    "\n\n",
    "word",
    "One. ",
    "longerthanachunk" * 3,
    "# Head\n",
    "é",
    "漢字。",
    "\t",
    "🎈",
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=120).map("".join) | st.text(max_size=300)
SIZES = st.integers(1, 60).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))


def pages(*texts: str, source: str = "a.pdf") -> list[Document]:
    documents, start = [], 0
    for number, text in enumerate(texts, 1):
        place = {
            "source": source,
            "title": "The Title",
            "page": number,
            "place": f"page {number}",
            "start": start,
        }
        documents.append(Document(text, metadata=place))
        start += len(text) + 1
    return documents


def one(text: str) -> list[Document]:
    return [Document(text, metadata={"source": "a.md", "title": "The Title", "page": None, "start": 0})]


def check(chunks: list[Chunk], whole: str) -> None:
    """Each chunk is where it says and not blank; they advance; between them is nothing but white space."""
    seen = 0
    previous = (-1, -1)
    for chunk in chunks:
        assert chunk.text == whole[chunk.start : chunk.end]
        assert chunk.text == chunk.text.strip() != ""
        assert chunk.start >= previous[0]
        assert chunk.end > previous[1]
        assert not whole[seen : max(seen, chunk.start)].strip()
        previous = (chunk.start, chunk.end)
        seen = max(seen, chunk.end)
    assert not whole[seen:].strip()


@given(st.lists(TEXTS, min_size=1, max_size=3), SIZES)
def test_recursive_chunks_are_exact_and_lose_nothing(texts: list[str], sizes: tuple[int, int]) -> None:
    texts = [text.replace("\f", " ") for text in texts]
    size, overlap = sizes
    chunks = split_documents(pages(*texts), size=size, overlap=overlap)
    check(chunks, "\f".join(texts))
    assert all(len(chunk.text) <= size and "\f" not in chunk.text for chunk in chunks)


@given(TEXTS, SIZES)
def test_the_character_splitter_is_langchains(text: str, sizes: tuple[int, int]) -> None:
    size, overlap = sizes
    logging.getLogger("langchain_text_splitters.base").setLevel(logging.ERROR)
    theirs = CharacterTextSplitter(chunk_size=size, chunk_overlap=overlap).split_text(text)
    ours = split_documents(one(text), size=size, overlap=overlap, splitter="character")
    # Theirs puts one blank line where the text has several, and so cannot say where the chunk was.
    assert ["".join(chunk.text.split()) for chunk in ours] == ["".join(chunk.split()) for chunk in theirs]
    for chunk in ours:
        assert chunk.text == text[chunk.start : chunk.end]


def test_the_tutorials_sizes_cut_at_blank_lines_only() -> None:
    text = "A paragraph that is longer than fifty characters, and stays whole.\n\nShort.\n\nAlso short."
    chunks = split_documents(one(text), size=50, overlap=5, splitter="character")
    assert [chunk.text for chunk in chunks] == [text[:66], "Short.\n\nAlso short."]


def test_repeated_text_keeps_its_places() -> None:
    text = "The same sentence again. " * 400
    chunks = split_documents(one(text), size=200, overlap=50)
    check(chunks, text)
    assert all(chunk.text.startswith("The same") for chunk in chunks)
    assert all(20 <= before.end - after.start <= 50 for before, after in pairwise(chunks))


def test_cuts_prefer_headings_then_paragraphs_then_sentences() -> None:
    heading = "x" * 550 + "\n\n## Next part\n\n" + "y" * 600
    assert split_documents(one(heading))[1].text.startswith("## Next part")
    paragraph = "First part. " * 50 + "\n\n" + "Second part. " * 60
    assert split_documents(one(paragraph))[0].text.endswith("First part.")
    sentence = "A sentence of some words. " * 60
    assert split_documents(one(sentence))[0].text.endswith("words.")


def test_a_chunk_never_spans_pages() -> None:
    chunks = split_documents(pages("one " * 10, "", "  \n ", "two " * 10))
    assert [(chunk.page, chunk.start) for chunk in chunks] == [(1, 0), (4, 40 + 1 + 0 + 1 + 4 + 1)]


def test_header_holds_title_section_and_page() -> None:
    chunks = split_documents(pages("# Opening\n\nAt ten.", "More of the same section."))
    assert [chunk.section for chunk in chunks] == ["Opening", "Opening"]
    assert chunks[1].header == "a · The Title · Opening · page 2"
    assert chunks[1].document == "a · The Title"
    assert chunks[1].indexed_text == "a · The Title · Opening · page 2\nMore of the same section."


@pytest.mark.parametrize(
    ("source", "title", "document"),
    [
        ("reports/2018/NORVEX_2018_10K.pdf", "UNITED STATES", "reports 2018 NORVEX 2018 10K · UNITED STATES"),
        ("garden-rules.txt", "Garden rules", "Garden rules"),  # says the same
        ("garden-rules.txt", "", "garden rules"),
        ("https://example.org/mill.html", "The mill", "https example org mill · The mill"),
    ],
)
def test_a_header_names_the_document(source: str, title: str, document: str) -> None:
    page = Document(
        "It has 14 wheels.", metadata={"source": source, "title": title, "page": None, "start": 0}
    )
    [chunk] = split_documents([page])
    assert chunk.header == chunk.document == document


def test_each_page_of_a_long_document_says_what_it_is_about() -> None:
    text = "Sales in Norvex rose by a little. " * 60
    texts = ["ANNUAL REPORT 2018\nNORVEX CORPORATION", *([f"{text} In 2018 and 2017 it was so."] * 4)]
    chunks = split_documents(pages(*texts))
    assert {chunk.document for chunk in chunks} == {"a · The Title · Norvex 2018"}


def test_a_section_ends_with_its_source() -> None:
    first, second = pages("# Opening\n\nText."), pages("Other text.", source="b.pdf")
    assert split_documents(first + second)[1].section == ""


def test_headings_of_the_layout_win() -> None:
    document = Document(
        "Plain line\nBig line\nText", metadata={"source": "a", "headings": [[11, "Big line"]]}
    )
    assert split_documents([document], size=12, overlap=0)[-1].section == "Big line"


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (10, 10), (10, -1)])
def test_sizes_that_cannot_be(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="chunk size of at least 1"):
        split_documents(one("text"), size=size, overlap=overlap)


def test_an_unknown_splitter_names_the_choices() -> None:
    with pytest.raises(ValueError, match="recursive, character"):
        split_documents(one("text"), splitter="semantic")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "piece",
    [
        "Plain words in a row. ",
        "x",
        "# Heading\n\n",
        "\n\nShort line\n\n",
        " ",
        "\n",
        "= a =\n",
        "| a | b |\n",
        "A\n\n",
    ],
)
def test_a_megabyte_takes_well_under_a_second(piece: str) -> None:
    documents = one(piece * (1_000_000 // len(piece)))
    begin = time.process_time()
    split_documents(documents)
    assert time.process_time() - begin < 1.0
