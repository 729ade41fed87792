"""Languages: their English names for a prompt, "not found" in the major ones, and which one a question is in.

The guess is from scripts and from the words that questions are made of, and says nothing unless it is sure;
a statistical identifier is not, for so few words. It does not know what is spoken or written in them.
"""

from __future__ import annotations

import re
from functools import cache

# What Whisper can hear: its code and the name in English.
_NAMES = """
    en English|zh Chinese|de German|es Spanish|ru Russian|ko Korean|fr French|ja Japanese|pt Portuguese|tr
    Turkish |pl Polish|ca Catalan|nl Dutch|ar Arabic|sv Swedish|it Italian|id Indonesian|hi Hindi|fi
    Finnish|vi Vietnamese |he Hebrew|uk Ukrainian|el Greek|ms Malay|cs Czech|ro Romanian|da Danish|hu
    Hungarian|ta Tamil|no Norwegian |th Thai|ur Urdu|hr Croatian|bg Bulgarian|lt Lithuanian|la Latin|mi
    Maori|ml Malayalam|cy Welsh|sk Slovak |te Telugu|fa Persian|lv Latvian|bn Bengali|sr Serbian|az
    Azerbaijani|sl Slovenian|kn Kannada|et Estonian |mk Macedonian|br Breton|eu Basque|is Icelandic|hy
    Armenian|ne Nepali|mn Mongolian|bs Bosnian|kk Kazakh |sq Albanian|sw Swahili|gl Galician|mr Marathi|pa
    Punjabi|si Sinhala|km Khmer|sn Shona|yo Yoruba|so Somali |af Afrikaans|oc Occitan|ka Georgian|be
    Belarusian|tg Tajik|sd Sindhi|gu Gujarati|am Amharic|yi Yiddish|lo Lao |uz Uzbek|fo Faroese|ht Haitian
    Creole|ps Pashto|tk Turkmen|nn Norwegian Nynorsk|mt Maltese|sa Sanskrit |lb Luxembourgish|my Burmese|bo
    Tibetan|tl Tagalog|mg Malagasy|as Assamese|tt Tatar|haw Hawaiian|ln Lingala |ha Hausa|ba Bashkir|jw
    Javanese|su Sundanese|yue Cantonese
"""
_NOT_FOUND = {
    "en": "I could not find this in your documents.",
    "de": "Das konnte ich in Ihren Dokumenten nicht finden.",
    "es": "No he encontrado esto en sus documentos.",
    "fr": "Je n'ai pas trouvé cela dans vos documents.",
    "it": "Non l'ho trovato nei suoi documenti.",
    "pt": "Não encontrei isso nos seus documentos.",
    "nl": "Ik heb dit niet in uw documenten kunnen vinden.",
    "pl": "Nie udało mi się znaleźć tego w Twoich dokumentach.",
    "ru": "Я не нашёл этого в ваших документах.",
    "uk": "Я не знайшов цього у ваших документах.",
    "tr": "Bunu belgelerinizde bulamadım.",
    "ja": "お手元の文書には見つかりませんでした。",
    "zh": "我在您的文档中没有找到相关内容。",
    "ko": "문서에서 해당 내용을 찾지 못했습니다.",
    "ar": "لم أجد ذلك في مستنداتك.",
    "hi": "मुझे यह आपके दस्तावेज़ों में नहीं मिला।",
}
# Said before a sentence that no passage supports, so it is short.
_NOT_SUPPORTED = {
    "en": "Not in the documents:",
    "de": "Nicht in den Dokumenten:",
    "es": "No está en los documentos:",
    "fr": "Pas dans les documents :",
    "it": "Non è nei documenti:",
    "pt": "Não está nos documentos:",
    "nl": "Niet in de documenten:",
    "pl": "Nie ma tego w dokumentach:",
    "ru": "Этого нет в документах:",
    "uk": "Цього немає в документах:",
    "tr": "Belgelerde yok:",
    "ja": "文書にはありません:",
    "zh": "文档中没有:",
    "ko": "문서에 없음:",
    "ar": "ليس في المستندات:",
    "hi": "दस्तावेज़ों में नहीं:",
}
# Words of questions; a word that two of these languages share counts for both.
_WORDS = {
    "en": """a an in on at by or the what when where which who why how is are was were does do did can could
        there have has of and to for with from this that my your much many long it""",
    "de": """der die das den dem ein eine einen was wann wo welche welcher welches wer warum wie ist sind war
        gibt kann muss darf hat haben im am zum zur und für mit von ich es viel viele lange wird werden
        nicht öffnet kostet""",
    "es": """el los las un una qué cuándo dónde cuál cuáles quién cómo cuánto cuánta cuántos por es son está
        hay puede puedo tiene del y para con se la de en""",
    "fr": """le les un une des quel quelle quels quelles quand où qui comment pourquoi combien est sont était
        y a-t-il peut puis-je du et pour avec dans ce cette la de il est-ce que qu""",
    "it": """il gli lo un una che cosa quando dove quale quali chi come perché quanto quanta quanti è sono
        era c'è può posso della del di e per con nel si la costa""",
    "pt": """o os as um uma que quando onde qual quais quem como porquê quanto quanta quantos é são foi está
        há pode posso tem do da de e para com em no na não fica""",
    "nl": """de het een wat wanneer waar welke wie waarom hoe is zijn was kan mag moet heeft er van en voor
        met naar ik veel lang hoeveel gaat kost in op""",
    "pl": """co kiedy gdzie który która które kto dlaczego jak ile jest są był czy można mogę ma w na i do z
        dla się nie kosztuje""",
    "tr": "ne nerede nasıl neden kim hangi kaç mı mi mu mü var yok bir ve için ile bu zaman kadar olarak",
    "ru": """что когда где какой какая какие кто почему как сколько есть ли можно и на для с это был у мне
        стоит""",
    "uk": "що коли де який яка які хто чому як скільки є чи можна і та на для з це був у мені коштує",
    "hi": "क्या कब कहाँ कौन कैसे कितना कितने कितनी है हैं का की के में को से",
    "ar": "ما ماذا متى أين كيف من كم هل لماذا في على إلى هو هي",
}
_HIRAGANA = re.compile(r"[\u3041-\u30ff]")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_HANGUL = re.compile(r"[\uac00-\ud7af]")
_BETWEEN = re.compile(r"[\s.,;:!?¿¡؟،।«»„“”\"()\[\]…]+")
_LEAST = 2  # words, or Chinese characters, that a guess rests on
_OTHER_SCRIPT = ("ru", "uk", "hi", "ar")  # one word is enough: few languages could be mistaken for them
_LEAD = 1.6  # how many times as many as any other language has


def not_found(language: str | None = None) -> str:
    """What is said when no passage answers; in English where there is no sentence in `language`."""
    return _NOT_FOUND.get(_code(language), _NOT_FOUND["en"])


def not_supported(language: str | None = None) -> str:
    """What is said before a sentence that no passage supports; English where there is none in `language`."""
    return _NOT_SUPPORTED.get(_code(language), _NOT_SUPPORTED["en"])


def not_found_sentences() -> tuple[str, ...]:
    return tuple(_NOT_FOUND.values())


def english_name(language: str | None) -> str | None:
    """ "German" for "de" or "de-AT"; None for a code that is not known."""
    return _names().get(_code(language))


def guess(question: str) -> str | None:
    """The code of the language that a question is surely in, one of those that `not_found` has; else None."""
    if _HANGUL.search(question):
        return "ko"
    if _HIRAGANA.search(question):
        return "ja"
    if len(_HAN.findall(question)) >= _LEAST:
        return "zh"
    words = [word for word in _BETWEEN.split(question.casefold().replace("’", "'")) if word]
    counted = sorted(
        ((sum(w in known for w in words), code) for code, known in _words().items()), reverse=True
    )
    (most, code), (next_most, _) = counted[:2]
    sure = (
        most >= (1 if code in _OTHER_SCRIPT else _LEAST)
        and most >= _LEAD * next_most
        and 4 * most >= len(words) > 0
    )
    return code if sure else None


def _code(language: str | None) -> str:
    return re.split(r"[-_]", (language or "").strip().casefold())[0]


@cache
def _names() -> dict[str, str]:
    entries = (" ".join(entry.split()).partition(" ") for entry in _NAMES.split("|"))
    return {code: name for code, _, name in entries}


@cache
def _words() -> dict[str, frozenset[str]]:
    return {code: frozenset(text.split()) for code, text in _WORDS.items()}
