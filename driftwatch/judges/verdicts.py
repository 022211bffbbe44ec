"""Verdicts: whether what follows a restated side, in its sentence or the next, calls it right or wrong."""

import re

from driftwatch.judges.frames import without_leads
from driftwatch.judges.vocabulary import (
    ADVERB,
    FALSE,
    HELPING,
    IN_PART,
    NOT,
    NOT_SO_WORDS,
    NOUN,
    PLAIN,
    TRUE,
    YES_WORDS,
    sign_of_verdict,
)

# Patterns of what may follow a restated side within its sentence.
_OPEN_END = r"[\s\"')\].,;:!-]*"
_WHICH = r"(?:is|are|seems|sounds|would be|feels|looks|remains|strikes me as|seems to me|were)"
_SAID_SO = re.compile(
    rf"{_OPEN_END}(?:that|this|it|which|and that|and this|and it"
    rf"|, and that)? ?{_WHICH} (?P<before>(?:{ADVERB} )*)(?P<not>{NOT} )?(?P<inner>(?:{ADVERB} )*?)"
    rf"(?:(?:the (?:view|statement|one|sentence|option|opinion|side)(?: that is| which is)? )?(?P<plain>{PLAIN}"
    rf"|closer|closest|nearer|nearest|more like my view)|(?P<true>{TRUE}|the right (?:view|answer|idea|choice)"
    rf"|a (?:good|fair|valid|strong) (?:point|idea|view|argument)|what i (?:support|favou?r|prefer|agree with"
    rf"|stand for)|one (?:that )?i (?:share|hold|agree with|support|accept|believe)|something i (?:agree with"
    rf"|believe|support|believe in|share|accept)|a (?:view|position|statement|claim|idea) (?:that )?i (?:share|hold"
    rf"|agree with|support|accept|hold dear)|mine)"
    rf"|(?P<false>{FALSE}|what i (?:reject|oppose|deny|disagree with|object to)|something i (?:reject|oppose|deny"
    rf"|disagree with|doubt)|a (?:view|position|statement|claim|idea) (?:that )?i (?:reject|oppose|deny"
    rf"|disagree with|doubt))|(?P<unlike>something i (?:do not|can not|could not|would not|could never|would never"
    rf"|will never) (?:believe|accept|support|agree with|share|endorse|say|believe in)|a (?:view|position|statement"
    rf"|claim|idea) (?:that )?i (?:do not|can not|could not|would not|could never|would never"
    rf"|will never) (?:believe|accept|support|agree with|share|endorse|hold)))"
    rf"(?: to me| in my view| in my opinion| in my eyes| if you ask me| for me| of mine| to my mind"
    rf"| than the (?:first|second|other)(?: one)?)?{_OPEN_END}$"
)
_FAILS = re.compile(
    rf"{_OPEN_END}(?:,? ?(?:and )?(?:that|this|it|which))? ?(?:do|does|will|would|can|could)? ?(?P<not>not|never"
    rf"|hardly|fails to) "
    rf"(?:(?:convince|persuade|reflect|match|represent|describe|fit|express|capture|hold|appeal|stand|make sense"
    rf"|ring true|add up|sit)\w*)"
    rf"(?: (?:me|my (?:own )?(?:view|opinion|position|thinking)|what i (?:think|believe)|up|water|to me"
    rf"|well with me|up to scrutiny|true for me|right with me))?{_OPEN_END}$"
)
_HOLDS = re.compile(
    rf"{_OPEN_END}(?:that|this|it|which)? ?(?:convinces|persuades|reflects|matches|represents|describes|fits"
    rf"|expresses|captures|holds) "
    rf"(?:me|my (?:own )?(?:view|opinion|position|thinking)|what i (?:think|believe)|true for me|true){_OPEN_END}$"
)
_IN_MY_VIEW = re.compile(
    rf"{_OPEN_END}(?:,? ?(?:too|also|as well|at all|indeed|overall|always|today|now|anyway|period|full stop"
    rf"|for sure|of course|certainly|definitely|absolutely|without (?:a )?doubt|no doubt|no question|in general"
    rf"|at all times"
    rf"|in (?:my|our) (?:\w+ )?(?:view|opinion|eyes|mind|book|judgement|judgment)|to my mind|to me|for me"
    rf"|if you ask me|as i see it|as far as i am concerned|and (?:i|that) (?:mean it|is that|is final)|i (?:really "
    rf"|do |strongly |firmly )?(?:think|believe|feel|agree|would say|suppose|say|find)"
    rf"|and i (?:fully |really |do |strongly |firmly )?(?:agree|believe (?:it|that|this)|stand by (?:it|that|this)"
    rf"|support (?:it|that|this))(?: with (?:it|that|this))?|more closely|plainly|plain and simple|at heart"
    rf"|thank you|thanks))*{_OPEN_END}$"
)
_REASON = re.compile(
    rf"{_OPEN_END},? ?(?:because|since|so that|in order to|as (?:it|they|this|we|the|there|people|these|those"
    rf"|that) )\b(?!.*\bi (?:was|am) told)"
)


def verdict_after(text: str) -> int | None:
    """Whether the rest of a sentence affirms the side before it: 1 yes, −1 rejects, 0 neither; `None` if unknown.

    >>> verdict_after(", in my view."), verdict_after(" is nonsense."), verdict_after(" is what my uncle says.")
    (1, -1, None)
    """
    if _IN_MY_VIEW.match(text) is not None or _HOLDS.match(text) is not None:
        return 1
    if (m := _SAID_SO.match(text)) is not None:
        if m["unlike"]:
            return None if m["not"] else -1
        return sign_of_verdict(m)
    if _FAILS.match(text) is not None:
        return -1
    if (answer := answers(re.sub(r"^[\s,;:\"')-]*(?:and |but )?", "", text))) is not None:
        return answer
    return 1 if _REASON.match(text) is not None else None


# Patterns of whole sentences, or of what follows a comma, about what was said before.
_THIS = (
    r"(?:this|that|it|this (?:one|{n})|that (?:one|{n})|the {n}|such (?:an?|the) {n}|them|those people|these claims"
    r"|any of (?:it|that)|a word of (?:it|that))"
).replace("{n}", NOUN)
_TAIL = (
    r"(?: at all| myself| either| one bit| in the least|,? (?:in my (?:view|opinion|eyes)|to me|for me|to my mind"
    r"|if you ask me|i think|i believe|of course|personally|sorry|though|however))*"
)
_I_SAY = re.compile(
    rf"(?:(?:and|but|yet|so|well|no|yes|personally|honestly|frankly|however"
    rf"|still),? )*i (?P<before>(?:{HELPING} )*?)(?:(?P<not>{NOT}) (?P<inner>(?:ever |{ADVERB} )*?))?"
    rf"(?:(?P<positive>agree|think so|believe so|concur|support|accept|endorse|share|believe|buy|think that"
    rf"|think this|stand by|am for|am in favour of|am with|say so|am one of them|see it that way|do|would say so"
    rf"|second)"
    rf"|(?P<negative>disagree|reject|oppose|deny|doubt|dispute|object|dismiss|think not|beg to differ|am against"
    rf"|am opposed|take issue|refuse to believe|refuse to accept|think otherwise|think differently"
    rf"|believe otherwise|believe the opposite|think the opposite|say no))"
    rf"(?: (?:strongly|completely|entirely|totally|wholly|firmly|wholeheartedly|fully|absolutely|more))*(?: (?:with"
    rf"|to|of|in))?(?: {_THIS})?(?: (?:completely|entirely|strongly|totally))?{_TAIL}$"
)
_THIS_IS = re.compile(
    rf"(?:(?:and|but|yet|no|yes|however|well),? )*(?:{_THIS}|they|these people|those people|who say so) (?:is|are"
    rf"|seems|sounds|would be|remains|strikes me as) (?P<before>(?:{ADVERB}"
    rf" )*)(?P<not>{NOT} )?(?P<inner>(?:{ADVERB} )*?)"
    rf"(?:(?P<plain>{PLAIN})|(?P<true>{TRUE})|(?P<false>{FALSE})){_TAIL}$"
)
_YES = re.compile(
    rf"(?:{YES_WORDS}"
    rf"[ ,]*)+"
)
_NOT_SO = re.compile(
    rf"(?:{NOT_SO_WORDS}"
    rf"[ ,]*)+"
)


def answers(sentence: str) -> int | None:
    """Whether a sentence affirms the one before it: 1 affirms, −1 rejects; `None` if it does neither.

    >>> answers("no."), answers("that is simply not true."), answers("so do i."), answers("cars are loud.")
    (-1, -1, 1, None)
    """
    text = without_leads(sentence.strip(" .!\"')(;:-"))
    if (m := re.fullmatch(r"i (?:could|can) not (dis)?agree (more|less)(?: with (?:this|that|it))?", text)) is not None:
        return (-1 if m[1] else 1) * (1 if m[2] == "more" else -1)
    if _YES.fullmatch(text) is not None:
        return 1
    if _NOT_SO.fullmatch(text) is not None:
        return -1
    if (m := _THIS_IS.match(text)) is not None:
        return sign_of_verdict(m) or None
    if (m := _I_SAY.match(text)) is not None:
        sign = 1 if m["positive"] else -1
        if m["not"]:
            if re.search(rf"\b{IN_PART}\b", m["inner"] or "") or m["not"] in ("barely", "hardly", "scarcely"):
                return None
            return -sign if m["positive"] else None
        return (
            None
            if re.search(r"\b(?:could|should|would)\b", m["before"]) and m["positive"] in ("do", "support")
            else sign
        )
    head, _, rest = re.sub(r"^(?:yes|no)[,.!]+ ", lambda w: w[0], text).partition(" ")
    if head in ("no,", "no.", "no!", "yes,", "yes.", "yes!"):
        rest_says = answers(rest)
        return rest_says if rest_says == (-1 if head.startswith("no") else 1) else None
    return None
