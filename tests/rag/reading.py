"""What Parley reads of a file, page by page, and what holds of every page."""

from __future__ import annotations

from pathlib import Path

from langchain_core.documents import Document

from rag.documents import load_file


def load(path: Path) -> list[Document]:
    found = load_file(path, path.name, ocr="none")
    whole = "\f".join(page.page_content for page in found)
    assert all(whole.startswith(page.page_content, page.metadata["start"]) for page in found)
    for page in found:
        text = page.page_content
        assert all(text.startswith(name, start) for start, name in page.metadata["headings"])
    return found


def text_of(path: Path) -> str:
    [page] = load(path)
    return page.page_content


def places(found: list[Document]) -> list[str]:
    return [page.metadata["place"] for page in found]
