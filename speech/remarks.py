"""Short things people say that are no question: "mm-hm" over an answer, "stop". It knows a few languages."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BACKCHANNELS = _words(
    "mm mmm mhm mmhm hm hmm hmhm uh huh uhuh uhhuh ah aha oh yeah yep yes yup ok okay right sure good great "
    "ja jo genau gut doch sí si claro vale bueno oui ouais bien certo bene sim tá goed tak dobrze da так да "
    "ага はい うん ええ 네 응 嗯 好 对"
)
_PHRASES = frozenset({"i see", "got it", "all right", "of course", "d'accord", "i know", "ach so", "va bene"})
_STOPS = _words(
    "stop quiet silence enough pause wait moment thanks stopp halt ruhe stille genug danke basta para "
    "silencio gracias arrête merci ferma grazie parar"
) | {
    *("stop it", "stop talking", "please stop", "stop please", "be quiet", "hold on", "wait a moment"),
    *("that's enough", "thank you", "never mind", "shut up", "hör auf"),
}
_TAKING_BACK = _words("no not nope wait sorry actually instead nein nicht non nee não pardon perdón scusa")


def is_backchannel(text: str) -> bool:
    """Whether a person who says this over an answer only shows that they listen."""
    plain = _plain(text)
    return plain in _PHRASES or all(word in _BACKCHANNELS for word in plain.split())


def is_stop(text: str) -> bool:
    """Whether a person who says this wants silence, and no answer."""
    return _plain(text) in _STOPS


def takes_back(text: str) -> bool:
    """Whether a person who begins so takes back what was said just before."""
    return _plain(text).partition(" ")[0] in _TAKING_BACK


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w' ]+", " ", text.replace("-", "").replace("’", "'").lower()).split())
