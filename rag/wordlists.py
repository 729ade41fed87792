"""Words by which a question shows that it hangs on the one before: for English, German, French and Spanish.

Data and nothing else; `followup` has the rules.
"""

from __future__ import annotations

from dataclasses import dataclass


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True)
class Language:
    """The words of one language; `openers` and `references` are regular expressions."""

    openers: str  # what begins a continuation: "and", "what about"
    topics: str  # the openers after which only a subject comes: "what about"
    pronouns: frozenset[str]  # stand for something that was named before
    clause: frozenset[str]  # show that there is a verb, as far as a list can tell
    function: frozenset[str]  # say nothing about the subject: articles, prepositions, question words, "is"
    references: str  # other expressions that need what was said: "anything else"


INVERTING = words("is are was were does did can could will would should must may might")
AUXILIARIES = INVERTING | words("do has have had be been shall")
PREPOSITIONS = words(
    "about of for with by like after before to than and in on at into since without during until from"
)
QUESTION_WORDS = words("who whom whose what which when where why how")
MODALS = words("do does did can could will would shall should must may might")
LINKS = words("of in at for from")
DETERMINERS = words("the a an my our your this that these those")
BOUNDARIES = words(
    "and or but if when because after before while who which whether since once until where as"
)
PREDICATES = words("i you we one people how")  # what follows is a verb, or an adjective
PERSONS = words("he him his she her hers")
PLURAL = words("they them their theirs")
POSSESSIVES = words("its their his her")
VERBS = words(
    """open opens close closes cost costs start starts begin begins end ends work works live lives stay stop
    take takes last lasts get need needs want make makes mean means say says use uses run runs go goes come
    comes belong contain contains include includes offer offers provide provides sell sells serve serves allow
    allows apply happen happens look sound feel become arrive leave depart return pay buy book order find know
    called named located built made held found written kept sold born given known taught opened closed founded
    discover discovered invent invented design designed write wrote win won play played worked show shows
    weigh charge free available required allowed necessary possible pick send change changed rent hire visit
    join grow eat"""
)
TIMES = words("year week month morning afternoon evening weekend winter summer spring autumn season century")
TEXTS = words(
    "document documents file files book text manual report page pages handbook guide paper corpus app"
)
ATTRIBUTES = words("price cost name height size length age width weight date population depth address")
# Verbs that stand between a subject and an object; of those that are nouns too, only the likelier verbs.
TRANSITIVE = words(
    """accept achieve add affect allow apply ask attract bring call carry catch cause charge choose
        clean climb collect control cover cross damage deliver depart describe destroy develop drink
        drive eat enter exchange feed feel fill follow get give grow handle help hold include invade
        invent keep lead learn lend lose marry meet own paint park pass prevent produce protect provide
        publish pull push put reach read receive refuse remove repair replace require rule save see send
        serve settle sing sleep speak spend store supply support swim teach tell throw touch train
        translate treat wear"""
)

# Kinds of things that are asked about, in the singular: a correction replaces what is of its own kind.
KINDS = {
    "time": words(
        """monday tuesday wednesday thursday friday saturday sunday weekday weekend january february march
        april may june july august september october november december today tomorrow tonight morning
        afternoon evening night noon midnight spring summer autumn fall winter christmas easter holiday
        week month year century"""
    ),
    "person": words(
        """adult child children kid student pupil senior pensioner baby people person family group member
        visitor guest resident teacher employee tenant landlord man men woman women boy girl teenager
        parent tourist"""
    ),
    "animal": words("dog cat horse bird pet duck bee bat fish"),
    "vehicle": words(
        "bus train ferry tram taxi car bicycle bike coach boat ship plane launch metro subway scooter"
    ),
    "place": words(
        """museum library garden café cafe shop hall room tower castle pool station hotel church school
        park market theatre theater house gate restaurant bar canteen office cinema gallery zoo orchard
        pond glasshouse toilet cloakroom desk beach harbour bridge hospital bank pharmacy gym university"""
    ),
    "attribute": ATTRIBUTES
    | words("length fee deposit colour color speed range temperature location address"),
}

ENGLISH = Language(
    openers=r"(?:(?:and|but|so|or|also|then|ok|okay)\b[\s,]*)*(?:(?:what|how) about\b)?",
    topics=r"(?:(?:and|but|so|or|ok|okay)\b[\s,]*)*(?:what|how) about\b",
    pronouns=PERSONS | PLURAL | words("it its"),
    clause=AUXILIARIES
    | (VERBS - words("free available last open order book show change use work play design")),
    function=words(
        """a about an and any are as at be been being but by can could did do does for from had has have
        having how i if in into is it its me may might much must my no not of on or our shall should so some
        than that the their them then there these they this those to us was we were what when where which who
        whom whose why will with would you your he him his she her many long far often old big there's what's
        who's where's how's it's that's also please tell give show say more during just only still ever kind
        sort time times day days year years date type"""
    ),
    references=(
        r"\b(?:(?:any|some|what|where|who|how)(?:one|thing|where)? else"
        r"|(?:the (?:same|others?|former|latter)|why not|what then|more|too)(?=\W*$)"
        r"|(?:which|that|this|another|the \w+|any|each|is there|are there) ones?"
        r"|(?:more|other|further) (?:details?|information)|(?:tell|give|show|say)(?: (?:me|us))? more"
        r"|explain (?:that|this|more)|since when|are there any(?=\W*$))\b"
        r"(?!\s+(?:about|on|of)\s+(?!it\b|this\b|that\b|them\b))"
    ),
)
GERMAN = Language(
    openers=r"(?:(?:und|aber|oder|also|auch)\b[\s,]*)*(?:(?:was ist|wie ist es|wie sieht es|was) mit\b)?",
    topics=r"(?:(?:und|aber)\b[\s,]*)*(?:was ist|wie ist es|wie sieht es|was) mit\b",
    pronouns=words(
        "er es sie ihm ihn ihnen sein seine seinen seiner ihr ihre ihren ihrer dort davon dazu dafür damit"
    ),
    clause=words(
        "ist sind war waren wird werden wurde hat haben kann können muss müssen darf gibt kostet heißt"
    ),
    function=words(
        """der die das den dem des ein eine einen einem einer und oder aber ist sind war waren wird werden
        wurde hat haben kann können muss müssen darf wie was wann wo wer warum wieso welche welcher welches
        wem wen viel viele lange oft in im am an auf aus bei für mit nach von vom zu zum zur über unter vor er
        es sie ich du wir man nicht auch noch gibt denn dann mir mich uns sich dort so ab um bis kostet
        heißt"""
    ),
    references=(
        r"\b(?:noch (?:etwas|jemand|mehr)|sonst noch|warum nicht|seit wann|das gleiche|dasselbe"
        r"|mehr (?:dazu|darüber))\b"
    ),
)
FRENCH = Language(
    openers=r"(?:(?:et|mais|ou|donc|aussi)\b[\s,]*)*(?:qu['’]en est-il\b(?: de\b| des\b| du\b)?)?",
    topics=r"(?:(?:et|mais)\b[\s,]*)*qu['’]en est-il\b",
    pronouns=words("il elle ils elles lui leur leurs sa son ses"),
    clause=words("est sont était a ont peut peuvent faut"),
    function=words(
        """le la les l un une des du de d et ou mais est sont était a ont peut peuvent quel quelle quels
        quelles qui que quoi quand où comment pourquoi combien dans en sur sous pour par avec sans à au aux ce
        cette ces il elle ils elles lui leur leurs sa son ses y on je tu nous vous ne pas plus se s c qu
        est-ce y-a-t-il t me m"""
    ),
    references=(
        r"\b(?:quoi d['’]autre|autre chose|pourquoi pas|depuis quand"
        r"|(?:celui|celle|ceux|celles)(?:-ci|-là)?)\b"
    ),
)
SPANISH = Language(
    openers=r"(?:(?:y|e|pero|o|entonces|también)\b[\s,]*)*(?:qué (?:hay|pasa|tal) (?:de|con)\b)?",
    topics=r"(?:(?:y|e|pero)\b[\s,]*)*qué (?:hay|pasa|tal) (?:de|con)\b",
    pronouns=words("él ella ello ellos ellas su sus allí ahí"),
    clause=words("es son era fue está están hay tiene tienen puede pueden cuesta"),
    function=words(
        """el la los las un una unos unas y o pero es son era fue está están hay tiene tienen puede pueden qué
        quién quiénes cuándo dónde cómo cuál cuáles cuánto cuánta cuántos cuántas por para con sin en de del a
        al sobre que se me te nos le les lo su sus él ella ellos no sí más muy yo desde hasta cuesta"""
    ),
    references=r"\b(?:algo más|qué más|quién más|por qué no|desde cuándo|lo mismo|el otro|la otra)\b",
)
LANGUAGES = (ENGLISH, GERMAN, FRENCH, SPANISH)
