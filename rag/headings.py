"""Where the headings of a text are, and which of them is its title, by the marks and habits of plain text.

Markdown, reStructuredText, MediaWiki and HTML marks are certain; numbered lines, capitals and short lines
that stand alone are guesses, made only where there is no mark. It does not know layout (see `rag.extract`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST = 120  # characters of a heading

_MARKED = re.compile(
    r"""
    ^(?P<fence> [ ]{0,3}(?:```|~~~) ) .*$
    | ^[ ]{0,3}\#{1,6}[ \t]+(?P<atx> \S[^\n]*?)[ \t]*\#*[ \t]*$
    | ^[ ]?(?P<wiki> =(?:[ ]?=){0,5})[ ]*(?P<wikitext> [^=\n]{2,120}?)[ ]*(?P=wiki)[ ]*$
    | ^[ \t]*<h[1-6]\b[^>\n]{0,200}>(?P<html> [^\n]{1,200}?)</h[1-6]>
    | ^(?P<under> [^\s\-=~*+|>\#.<][^\n]{0,119})\n(?P<rule> =+|-+|~+|\^+|"+|\*+|\#+|`+)[ \t]*$
    """,
    re.M | re.X,
)
_GUESSED = re.compile(r"(?:\A\s*|\n\n)(?P<line>[^\W_][^\n]{1,90})(?=(?P<alone>\n\n\s*\S)|\n|\Z)")
_NUMBER = re.compile(
    r"(?:\d{1,2}(?:\.\d{1,2}){0,4}\.?|[A-Z]\.|[IVX]{1,5}\.|(?:Chapter|Section|Part|Appendix) \w+[.:]?)[ \t]+"
)
_SENTENCE = re.compile(r"[.:!?…][\"'”’)]*\s|[“”\"|—]|[^\w)]$")
_RST = re.compile(r"^\.\. [\w|\[]", re.M)  # a directive; in such a text "# " begins a comment in code
_TAG = re.compile(r"<[^>]+>|\*{1,3}|`+")
_FRONT_MATTER = re.compile(
    r"\A(?:---\n)?(?:[\w-]+:[^\n]*\n(?:[ \t]+[^\n]*\n)*?)*?title:[ \t]*([^\n]+)\n", re.I
)


def find_headings(text: str) -> list[tuple[int, str]]:
    """(offset, heading) in order: a marked text's marks, else what reads like a heading."""
    return [(start, name) for start, name, _ in _marked(text)] or list(_guessed(text))


def find_title(text: str) -> str:
    """What a text calls itself: its "Title:" field, its first marked heading, or a heading as its first line.

    A MediaWiki mark names no title: collections of articles have one at every article. "" if nothing does.
    """
    if match := _FRONT_MATTER.match(text[:5_000]):
        return match[1].strip("\"' \t")
    marked = _marked(text[:20_000])
    if marked:
        return next((name for _, name, wiki in marked if not wiki), "")
    start, name = next(_guessed(text[:2_000]), (0, ""))
    return "" if text[:start].strip() else name


def _marked(text: str) -> list[tuple[int, str, bool]]:
    found: list[tuple[int, str, bool]] = []
    fenced, rst = False, bool(_RST.search(text))
    for match in _MARKED.finditer(text):
        if match["fence"]:
            fenced = not fenced
        elif not fenced and not (rst and match["atx"]) and (name := _name(match)):
            found.append((match.start(), name, bool(match["wiki"])))
    return found


def _name(match: re.Match[str]) -> str:
    """The heading's words; "" where an underline is too short for its line."""
    if line := match["under"]:
        enough = 3 if match["rule"][0] == "=" else len(line.rstrip())
        if len(match["rule"]) < min(enough, len(line.rstrip())):
            return ""
    name = match["atx"] or match["wikitext"] or match["html"] or line
    return " ".join(_TAG.sub("", name).split())[:LONGEST]


def _guessed(text: str) -> Iterator[tuple[int, str]]:
    """Lines after a blank one that are no sentence: in capitals, or alone and numbered or short."""
    position = 0
    while match := _GUESSED.search(text, position):
        position = match.end("line")
        line = match["line"].strip()
        words = _NUMBER.sub("", line)
        if sum(map(str.isalpha, words)) < 3 or not words[0].isupper() or _SENTENCE.search(words):
            continue
        if words.isupper() or (match["alone"] and (len(line) <= 60 or words != line)):
            yield match.start("line"), line
