""" "Go on", "tell me more": which requests name no subject, and what of the last answer they start from.

It knows a few languages by their phrases; what else hangs on the conversation is `rag.followup`'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.documents import Document

from rag.heard import Place, apart


def _phrases(text: str) -> frozenset[str]:
    return frozenset(phrase.strip() for phrase in text.split("|"))


_PHRASES = _phrases(
    """
    go on|go ahead|carry on|continue|keep going|keep talking|proceed|resume|read on|finish|finish it|what next
    |finish the answer|finish your answer|continue the answer|continue your answer|go on with it|more|say more
    |tell me more|tell me some more|tell me more about it|tell me more about that|go on reading|any more
    |more about that|more about it|what else|anything else|is there more|is there anything else|and then
    |weiter|mach weiter|machen sie weiter|red weiter|rede weiter|reden sie weiter|sprich weiter
    |sprechen sie weiter|lies weiter|lesen sie weiter|fahr fort|fahre fort|fahren sie fort|nur weiter|mehr
    |erzähl weiter|erzählen sie weiter|erzähl mehr|erzähl mir mehr|erzählen sie mehr|erzählen sie mir mehr
    |sag mehr|sag mir mehr|sagen sie mir mehr|mehr dazu|mehr davon|was noch
    |mehr darüber
    |noch mehr|sonst noch was
    |continuez|vas-y|allez-y|poursuis|poursuivez|la suite|ensuite|dis-m'en plus|dites-m'en plus|quoi d'autre
    |dis-moi plus|dites-moi plus|raconte-m'en plus|plus de détails|encore|autre chose
    |sigue|siga|continúa|continua|continúe|continue|adelante|sigue hablando|siga hablando|sigue leyendo
    |cuéntame más|cuénteme más|dime más|dígame más|más|algo más|qué más|hay más
    |continui|vai avanti|vada avanti|prosegui|prosegua|avanti|dimmi di più|mi dica di più|dimmi altro
    |mi dica altro|di più|altro|ancora|che altro|c'è altro
    |ga door|ga verder|gaat u verder|verder|vertel verder|vertel meer|vertel me meer|meer|wat nog meer
    |vá em frente|prossiga|conte-me mais|diga-me mais|mais|o que mais
    """
)
_COURTESY = re.compile(
    r"\b(?:please|bitte|s'il (?:te|vous) plaît|por favor|per favore|per piacere|alstublieft|alsjeblieft)\b"
    r"|^(?:and|und|et|y|e|en|so|ok|okay|yes|ja|oui|sí|sì|sim|now|just|well|thanks|danke|merci|gracias|grazie)\b"
    r"|^(?:(?:can|could|would|will) you|you (?:can|may)|(?:kannst|könntest) du|(?:können|könnten) sie"
    r"|peux-tu|pouvez-vous|puedes|puede|puoi|può)\b"
    r"|\b(?:now|then|jetzt|doch|mal|maintenant|donc|ahora|ora|pure)$"
)
_NO_MORE = {
    "en": "I found no more about this in your documents.",
    "de": "Mehr dazu habe ich in Ihren Dokumenten nicht gefunden.",
    "es": "No he encontrado nada más sobre esto en sus documentos.",
    "fr": "Je n'ai rien trouvé de plus à ce sujet dans vos documents.",
    "it": "Non ho trovato altro su questo nei suoi documenti.",
    "pt": "Não encontrei mais nada sobre isso nos seus documentos.",
    "nl": "Meer hierover heb ik niet in uw documenten gevonden.",
}
NOTHING_BEFORE = "There is no answer to go on with. Ask a question first."
_WIDER = 3  # times as many passages are looked at
_MOST = 4  # further passages
_LIKELY = 0.15  # the calibrated score of a further passage that is worth telling of
_TAIL = 120  # characters of what was said that the model is reminded of
_MARK = re.compile(r"\s*\[\d{1,3}\]")


@dataclass(frozen=True)
class Further:
    """What the person knows of an answer, and whether it broke off: they want its rest, or else more."""

    said: str
    cut: bool
    places: tuple[Place, ...] = ()  # the passages that were told of

    @property
    def whole(self) -> str:
        """What was said, up to the end of a sentence or before its last word, which may be half a one."""
        said = self.said.rstrip()
        return said if said.endswith((".", "!", "?", "。", "]")) else said.rpartition(" ")[0].rstrip()

    def has(self, sentence: str) -> bool:
        """Whether the whole sentence was said."""
        return _plain(sentence) in _plain(self.said)

    def searching(self, retriever: Any) -> Any:
        """A retriever that finds what lies behind the passages that were told of."""
        k = getattr(retriever, "k", None)
        if self.cut or not isinstance(k, int):
            return retriever
        return retriever.model_copy(update={"k": _WIDER * k})

    def more(self, found: Sequence[Document]) -> list[Document]:
        """The passages that say something of the subject and were not told of."""
        fresh = apart(found, self.places)[0]
        likely = [each for each in fresh if float(each.metadata.get("score", 1.0)) >= _LIKELY]
        return likely[:_MOST]

    def request(self, question: str) -> str:
        """`question` as a model is asked it again."""
        said = _plain(self.said)
        if not said:
            return question
        if not self.cut:
            return f"{question} (Tell only what was not said before.)"
        tail = said[-_TAIL:]
        return f"{question} (Your answer broke off after “…{tail}”. Give only the rest; repeat nothing.)"


def asks_on(text: str) -> bool:
    """Whether this asks for the rest of an answer, or for more of the same, and names no subject."""
    plain = " ".join(re.sub(r"[^\w'\- ]+", " ", text.replace("’", "'").casefold()).split())
    if plain in _PHRASES:
        return True
    before = ""
    while before != plain:
        before, plain = plain, " ".join(_COURTESY.sub(" ", plain).split())
    return plain in _PHRASES


def no_more(language: str | None = None) -> str:
    """What is said where the documents have no further passage; in English where there is no sentence."""
    return _NO_MORE.get((language or "").partition("-")[0].casefold(), _NO_MORE["en"])


def _plain(text: str) -> str:
    return " ".join(_MARK.sub("", text).split())
