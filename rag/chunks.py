"""Documents → chunks that know their place in the source, with a header that is searched but not quoted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chunk:
    """A piece of one source; `text` is exactly the source's text from `start` to `end`."""

    source: str  # path relative to its corpus folder, or a URL
    text: str
    start: int  # offset in the source's whole text (characters, a line end is one; pages joined by one "\f")
    end: int
    page: int | None = None  # 1-based; None where the source has no pages
    title: str = ""
    section: str = ""
    header: str = ""  # title, section and page; embedded and searched with the text, never quoted

    @property
    def indexed_text(self) -> str:
        """What is embedded and searched."""
        return f"{self.header}\n{self.text}" if self.header else self.text
