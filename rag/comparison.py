"""A question about two things at once → a question about each. It does not know how they are answered.

"Compare the warranty of A and B", "How do A and B differ in price?", "Which is older, A or B?": one search
finds passages about the one that has more to say. A soft hint from the words alone, in a few languages; any
other question is about one thing.
"""

from __future__ import annotations

import re

_COMPARES = re.compile(
    r"\b(?:compar(?:e|ed|es|ison|ing)|differ(?:s|ences?)?|versus|vs|both|respectively"
    r"|vergleich\w*|unterschied\w*|unterscheid\w*|beide\w*"
    r"|compar(?:a|ar|ación|ez|aison|er)|diferenci\w*|diff[eé]r\w*|ambos|ambas|les deux)\b",
    re.IGNORECASE,
)
_CHOOSES = re.compile(  # between what "or" joins
    r"\b(?:which|who|is|are|does|do|welche\w*|wer|ist|cuál|quién|es|quel(?:le)?|qui|est)\b", re.IGNORECASE
)
_ONLY = re.compile(  # what says nothing once there is only one of them
    r"\b(?:compare[ds]?|comparing|comparison of|(?:the )?differences? between|between|differ(?:s|ent)?|both"
    r"|vergleiche?n?|(?:der )?unterschiede? zwischen|zwischen|unterscheide[nt]?|beide"
    r"|comparar?|(?:la )?diferencias? entre|entre|comparez|(?:la )?diff[eé]rences? entre)\b\s*",
    re.IGNORECASE,
)
_AND = r"(?:\s+(?:and|und|y|e|et|vs\.?|versus)\s+)"
_OR = r"(?:,?\s+(?:or|oder|o|ou)\s+)"
_FIRST = r"(?!(?:Which|What|Who|How|Is|Are|Does|Do|Compare)\b)"
_QUOTED = r"(?<!\w)'(?:[^']|(?<=\w)'(?=\w))+'|\"[^\"]+\"|“[^”]+”|„[^“”]+[“”]|«[^»]+»"
_NAME = (  # or a word with a capital or digits
    rf"{_QUOTED}|{_FIRST}[^\W\d_a-zß-ÿ](?:[\w.'’&/-]*\w)?|\w*\d(?:[\w./-]*\w)?"
)
_NAMES = rf"(?:{_NAME})(?:\s+(?:(?:of|de|von|the)\s+)?(?:{_NAME}))*"
_THING = r"(?:the|a|an|my|our|der|die|das|dem|den|el|la|los|las|le|les)\s+[\w-]+"


def _pair(joint: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<one>{_NAMES}){joint}(?:the\s+)?(?P<other>{_NAMES})|(?P<a>{_THING}){joint}(?P<b>{_THING})"
    )


_BOTH, _EITHER = _pair(_AND), _pair(_OR)


def sides(question: str) -> list[str]:
    """The question about each of the things that it compares; empty where it compares none."""
    for asks, joined in ((_COMPARES, _BOTH), (_CHOOSES, _EITHER)):
        pair = joined.search(question) if asks.search(question) else None
        named = [pair["one"] or pair["a"], pair["other"] or pair["b"]] if pair else []
        if pair and named[0].casefold() != named[1].casefold():
            before, after = (
                _ONLY.sub("", part) for part in (question[: pair.start()], question[pair.end() :])
            )
            asked = (" ".join(f"{before}{name}{after}".split()) for name in named)
            return [question.replace(" ?", "?") for question in asked]
    return []
