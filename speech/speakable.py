"""Written text → what can be said aloud: Markdown, citations, code, links and symbols become words or go.

The order is: markup away (this file), then numbers, units, dates and abbreviations into words
(`speech.numerals`), then whatever is still no letter, digit or pause is dropped, so that no engine ever
reads "asterisk". Plain integers stay digits: every engine reads them in its own language. It does not know
any engine.
"""

from __future__ import annotations

import html
import re
import unicodedata

from speech.numerals import say_numerals

# What replaces things that have no sound, for a few languages; others leave them out.
_PHRASES = {
    "en": ("link to {}", "Here is a piece of code.", " dot ", " at "),
    "de": ("Link zu {}", "Hier steht ein Stück Code.", " Punkt ", " at "),
    "fr": ("lien vers {}", "Voici un extrait de code.", " point ", " arobase "),
    "es": ("enlace a {}", "Aquí hay un fragmento de código.", " punto ", " arroba "),
    "it": ("link a {}", "Qui c'è un frammento di codice.", " punto ", " chiocciola "),
    "pt": ("link para {}", "Aqui há um trecho de código.", " ponto ", " arroba "),
    "nl": ("link naar {}", "Hier staat een stukje code.", " punt ", " apenstaartje "),
}
_BARE = ("{}", "", ".", " ")

_FENCED = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[`~]*[ \t]*$|\Z)", re.M | re.S)
_TABLE_RULE = re.compile(r"^[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)*\|?[ \t]*$", re.M)
_TABLE_ROW = re.compile(r"^[ \t]*\|(.+?)\|?[ \t]*$", re.M)
_HRULE = re.compile(r"^[ \t]*([-*_])(?:[ \t]*\1){2,}[ \t]*$", re.M)
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+(.*?)[ \t#]*$", re.M)
_UNDERLINE = re.compile(r"^[ \t]*(?:={3,}|-{3,})[ \t]*$", re.M)
_QUOTE = re.compile(r"^[ \t]*(?:>[ \t]?)+", re.M)
_BULLET = re.compile(r"^[ \t]*[-*+•‣▪◦–][ \t]+(?:\[[ xX]\][ \t]+)?", re.M)
_NUMBERED = re.compile(r"^[ \t]*(\d{1,3})[.)][ \t]+(?=\S)", re.M)
_IMAGE = re.compile(r"!\[([^\]\n]*)\](?:\([^)\n]*\)|\[[^\]\n]*\])")
_LINK = re.compile(r"\[([^\[\]\n]+)\](?:\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\)|\[[^\]\n]*\])")
_CITATION = re.compile(r"[ \t\u00a0]*\[\^?\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*\](?![(:])")
_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]*)?/?>", re.S)
_URL = re.compile(
    r"<?\b(?:https?|ftp)://([^\s/?#<>\"'\])]+)[^\s<>\"]*>?|\bwww\.([^\s/?#<>\"'\])]+)[^\s<>\"]*", re.I
)
_EMAIL = re.compile(r"<?(?:mailto:)?\b([\w.+-]+)@((?:[\w-]+\.)+[A-Za-z]{2,})\b>?")
_DOMAIN = re.compile(
    r"\b((?:[a-z0-9-]+\.)+(?:com|org|net|edu|gov|io|de|fr|uk|eu|info|dev|ai|ch|at|nl|it|es))\b", re.I
)
_FORMULA = re.compile(r"\$\$?([^$\n]*[\\^_=][^$\n]*?)\$\$?")
_STRONG = re.compile(r"(\*{1,3}|~~)(?=\S)(.+?)(?<=\S)\1", re.S)
_UNDERSCORED = re.compile(r"(?<!\w)(_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)", re.S)
_CODE = re.compile(r"(`+)(.+?)\1", re.S)
_ENDING = ".!?:;,…。！？、，；："
_KEEP = set(".,;:!?'’-…。！？、，；：،؟؛।۔·¿¡\n ")
_FOREIGN_KEEP = set("%°+=&")  # every engine has words for these in its own language


def speakable(text: str, language: str = "en") -> str:
    """`text` as a person would say it, in one line; "" if nothing in it can be said (a lone citation).

    Args:
        text: a sentence or more, with Markdown.
        language: the text's language, ISO 639-1 ("en", "de", "pt-BR"). English is spelled out fully; other
            languages have their units, currencies and dates from CLDR and leave the rest to the engine.
    """
    base = re.split(r"[-_]", language.lower())[0]
    phrases = _PHRASES.get(base, _BARE)
    text = _plain_characters(text)
    text = _without_markup(text, phrases)
    text = _without_addresses(text, phrases)
    text = say_numerals(_without_emphasis(text), base)
    return _tidy(_only_sayable(text, base))


def _plain_characters(text: str) -> str:
    """Entities resolved, odd spaces plain, wide signs narrow, invisible characters gone."""
    text = html.unescape(text.replace("\r\n", "\n"))
    text = re.sub(r"[\u00a0\u2000-\u200a\u202f\u205f\t]", " ", text)
    text = text.translate(str.maketrans("￥％＄＋＆", "¥%$+&"))
    return re.sub(r"[\u00ad\u200b-\u200f\u2060\ufeff\ufe0f]", "", text)


def _without_markup(text: str, phrases: tuple[str, str, str, str]) -> str:
    text = _FENCED.sub(lambda _: phrases[1], text)
    text = _TAG.sub(" ", _TABLE_RULE.sub("", text))
    text = _HRULE.sub("", _UNDERLINE.sub("", text))
    text = _IMAGE.sub(r"\1", _QUOTE.sub("", text))
    text = _CITATION.sub("", _LINK.sub(r"\1", text))
    lines = [line for line in text.split("\n") if line.strip()]
    return "\n".join(_line(line, following) for line, following in zip(lines, [*lines[1:], ""], strict=False))


def _line(line: str, following: str) -> str:
    """One line without its list, heading or table marks, closed by a stop where a reader pauses."""
    bare = _TABLE_ROW.sub(_row, line)
    bare = _BULLET.sub("", _HEADING.sub(r"\1", bare))
    bare = _NUMBERED.sub(r"\1, ", bare)
    goes_on = following.strip() and not _is_block(following) and (not _is_block(line) or following[:1] == " ")
    return bare if goes_on and not following.strip()[0].isupper() else _closed(bare, bool(following.strip()))


def _is_block(line: str) -> bool:
    return any(pattern.match(line) for pattern in (_TABLE_ROW, _HEADING, _BULLET, _NUMBERED))


def _row(match: re.Match[str]) -> str:
    return ", ".join(cell.strip() for cell in match.group(1).split("|") if cell.strip())


def _closed(line: str, more: bool) -> str:
    """The line with a stop; the last line, and a full line of running text, keep what they end with."""
    bare = line.rstrip(" *_~`\"')]}”’»")
    return line + "." if more and bare and bare[-1] not in _ENDING and len(bare) < 70 else line


def _without_addresses(text: str, phrases: tuple[str, str, str, str]) -> str:
    link, _, dot, at = phrases

    def url(match: re.Match[str]) -> str:
        host = (match.group(1) or match.group(2)).rpartition("@")[2].split(":")[0].rstrip(".,;!?")
        tail = re.search(r"[.,;:!?]+$", match.group().rstrip(">"))
        spoken = re.sub(r"^www\.", "", host).replace(".", dot)
        return link.format(spoken) + (tail.group() if tail else "")

    def email(match: re.Match[str]) -> str:
        name, host = (part.replace(".", dot) for part in match.groups())
        return f"{name}{at}{host}"

    text = _FORMULA.sub(r"\1", _URL.sub(url, text))
    text = _EMAIL.sub(email, text)
    return _DOMAIN.sub(lambda match: match.group().replace(".", dot), text)


def _without_emphasis(text: str) -> str:
    """Emphasis marks and the ticks of inline code away; words that code joins with underscores apart."""
    text = _CODE.sub(lambda match: re.sub(r"(?<=\w)[_]+(?=\w)|[(){}\[\];]", " ", match.group(2)), text)
    for _ in range(2):
        text = _UNDERSCORED.sub(r"\2", _STRONG.sub(_strong, text))
    text = re.sub(r"\*{2,3}|~~|(?<!\w)\*(?=\w)|(?<=[^\s\d])\*(?!\w)", "", text)
    return re.sub(r"(?<=\w)_+(?=\w)", " ", text)


def _strong(match: re.Match[str]) -> str:
    """The emphasised words; a lone star between spaces or digits is a sign of arithmetic."""
    return match.group() if match.group(1) == "*" and re.match(r"\d", match.group(2)) else match.group(2)


def _only_sayable(text: str, language: str) -> str:
    keep = _KEEP if language == "en" else _KEEP | _FOREIGN_KEEP
    text = re.sub(r"[\u2018\u201b]", "'", text)
    text = re.sub(r"\s*(?:[—―]|\s[–-]\s|--+)\s*", ", ", text)
    text = re.sub(r"\s*[|]\s*|\s+[(\[]\s*|\s*[)\]](?=\s)", ", ", text)
    text = re.sub(r"\s*[)\]](?=[.,;:!?])", "", text)
    text = re.sub(r"(?<![\w])-(?=[^\W\d])|(?<=\w)-(?!\w)|(?<!\w)-(?!\w)", " ", text)
    sayable = _sayable_foreign if language != "en" else _sayable
    return "".join(char if char in keep or sayable(char) else " " for char in text)


def _sayable(char: str) -> bool:
    """Letters, digits and the marks that belong to letters."""
    return unicodedata.category(char)[0] in "LNM"


def _sayable_foreign(char: str) -> bool:
    return _sayable(char) or unicodedata.category(char) == "Sc"


def _tidy(text: str) -> str:
    """One line, single spaces, no doubled or leading pauses."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+([.,;:!?…])", r"\1", text)
    text = re.sub(r"[,;:]+(?=[.,;:!?…])", "", text)
    text = re.sub(r"([.!?…])[,;:]+", r"\1", text)
    text = re.sub(r"(?<!\.)\.\.(?!\.)", ".", text)
    text = re.sub(r"^[\s.,;:…'’-]+", "", text).strip()
    return text if any(_sayable(char) for char in text) else ""
