"""The words that texts and questions of a language are made of, whatever they are about. Data, nothing else.

They tell which language a text is in, and which words of a question need not be looked for.
"""

from __future__ import annotations

# The keys are the names of the stemmers; Polish has none.
FUNCTION_WORDS = {
    "english": """
        s a about an and any are as at be been being but by can could did do does for from had has
        have having he her him his how i if in into is it its many may me might much must my no nor
        not of on or our shall she should so some than that the their them then there these they
        this those to us was we were what when where which who whom whose why will with would you
        your""",
    "german": """
        aber als am an auch auf aus bei bin bis da das dass dem den der des die dies diese dieser du
        durch ein eine einem einen einer eines er es für gibt hat hatte hatten habe haben ich ihr
        ihre im in ist ja kann können kein keine man mein mich mir mit muss müssen nach nicht noch
        nur ob oder ohne sich sie sind so soll über um und uns unter vom von vor wann warum was
        welche welchem welchen welcher welches wem wen wenn wer werden wie wieso wird wo woher wohin
        worden wurde wurden zu zum zur zwischen""",
    "spanish": """
        a al algo ante aquel como con cual cuál cuales cuáles cuando cuándo cuanta cuánta cuantos
        cuánto cuántas cuántos de del desde donde dónde durante e el ella ellos en entre era es esa
        ese eso esta está están este esto fue fueron ha han hasta hay la las le les lo los más me mi
        muy ni no nos o para pero por porque pueden puede que qué quien quién quienes se sean ser si
        sin sobre son su sus también tiene tienen tu un una unas unos y ya yo""",
    "french": """
        a à au aux avec ce cela ces cet cette comment combien dans de des du elle elles en est et
        était étaient été être eux fait il ils je l la le les leur leurs lui mais me même mes mon ne
        nos notre nous on ont où ou par pas peut peuvent plus pour pourquoi qu quand que quel quelle
        quelles quels qui quoi sa sans se ses si son sont sous sur ta te tu un une vos votre vous y""",
    "italian": """
        a ad ai al alla alle anche che chi ci come con cosa cui da dal dalla dei del della delle di
        dove e è ed era erano essere fu gli ha hanno ho i il in io la le li lo loro ma mi nei nel
        nella non o per perché più può qual quale quali quando quanta quante quanti quanto questa
        questo se si sono su sua sul sulla suo tra un una uno""",
    "portuguese": """
        a ao aos as às até com como da das de dela dele do dos e é ela ele eles em entre era essa
        esse esta está este eu foi foram há isso já mais mas me muito na não nas nem no nos o onde
        os ou para pela pelo por porque qual quais quando quanta quantas quanto quantos que quem se
        sem ser seu são sua também tem têm um uma""",
    "dutch": """
        aan al als bij dan dat de deze die dit doen door een en er geen had heb hebben heeft het hij
        hoe hoeveel ik in is je kan kunnen maar me met mijn moet moeten na naar niet nog nu of om
        onder ook op over te tot u uit van veel voor waar waarom wanneer was wat welk welke werd wie
        wordt worden zal ze zich zij zijn zo""",
    "swedish": """
        alla att av blev blir de dem den denna det detta du där eller en ett från för ha hade han
        har hon hur i icke inte jag kan men mot med mycket när någon och om på sig sin ska skall som
        så till under upp ut vad var varför vem vi vid vilka vilken vilket är över""",
    "danish": """
        af alle at blev bliver da de dem den denne der deres det dette du efter eller en end er et
        for fra ham han har havde hun hvad hvem hver hvilken hvor hvordan hvorfor hvornår i ikke jeg
        kan med men mod når og om op på sig sin skal som til ud under var ved vi være""",
    "norwegian": """
        alle at av ble blir da de dem den denne der det dette du eller en enn er et etter for fra ha
        hadde han har hun hva hvem hver hvilken hvor hvordan hvorfor i ikke jeg kan med men mot når
        og om opp på seg sin skal som så til ut var ved vi være""",
    "finnish": """
        ei eivät että hän he ja jos jotka joka kuin kuinka kun kuka me mikä mikäli minä missä mitkä
        miksi mitä mutta myös ne niin noin nämä ole oli olivat olla on ovat se sekä sen siellä sinä
        tai tämä te vain voi""",
    "romanian": """
        a ai al ale am ar are au ca câți când care ce cea cel cele cine cu cum cât de despre din
        după este eu fi fost în îl își la mai nu o pe pentru prin sau se sunt și unde un una unei
        unui""",
    "hungarian": """
        a az ahol amely amikor azt be csak de egy ebben el én és ez ezt fel ha hogy hogyan hol hány
        ide is itt ki kell lehet már meg mely melyik mennyi mert mi miért mikor milyen mint mit nem
        nincs olyan ott s szerint számára van vagy volt""",
    "turkish": """
        ama ancak bir biz bu bunu çok da daha de değil diye en gibi hangi hem her için ile ise kaç
        kadar ki kim mı mi mu mü nasıl ne neden nerede o olan olarak onun sonra şu tüm var ve veya
        ya yok zaman""",
    "russian": """
        а без был была были было быть в вам вас во вот все где для до его ее если есть еще же за и
        из или им их к как какая какие какой какую когда кто ли между меня мне можно мы на над не
        него нет но о об он она они от по под почему при с сколько со так также то только у уже что
        чтобы это я""",
    "polish": """
        a albo ale by był była było były co czy dla do gdzie go i ich ile ja jak jaka jakie jaki
        jego jej jest kiedy kto która które który lub ma mają może na nad nie o od oraz po pod przez
        przy są się ta tak także ten to tym w we więc z za ze że""",
}
