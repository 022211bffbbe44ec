"""Frames: a closed list of what may stand before a restated side, and whether it affirms or rejects that side.

A frame ("I do not believe that", "it is a myth that") has a sign, and the signs of several frames multiply. A frame
that is not in the list has no sign and never counts as agreement, so the reply stays unclassified. Everything here is
matched against the normal form of `words.plain`.
"""

import re
from dataclasses import dataclass

from driftwatch.judges.vocabulary import (
    ADVERB,
    COMPLEMENT,
    FALSE,
    HELPING,
    IN_PART,
    IS,
    LEAD_WORDS,
    MINE,
    NEGATIVE,
    NO_WORDS,
    NOT,
    NOUN,
    PLAIN,
    POSITIVE,
    QUOTE,
    SAY,
    THAT,
    THE_IDEA,
    TRUE,
    VOID_NOT,
    sign_of_verdict,
)

# Sentence adverbs, which change nothing.
_LEADS = re.compile(
    r"(?:" + LEAD_WORDS + r")(?: ?[,:;.!-]+ ?| (?=(?:i|it|my|we|the|this|that|there|in|to)\b))"
    r"|(?:in my (?:own |humble |personal |honest )?(?:view|opinion|eyes|mind|book)|to my mind) "
    r"|[\"'(]|[-•>] |(?:answer|my answer|my view|view|opinion|verdict|response|conclusion) ?: "
)
_NO = re.compile(
    rf"(?:{NO_WORDS})"
    r" ?[,.:;!-]+ ?|no "
)

_I_NEVER = re.compile(
    r"(?:never|nor|in no way|by no means|under no circumstances|on no account|at no point|at no time|no way) "
    rf"(?:do|would|could|can|will|have|should|am) i (?:ever )?(?:{ADVERB} )*(?P<verb>{POSITIVE}|accepted|believed"
    rf"|agreed|"
    rf"supported|thought){COMPLEMENT}"
)
_I_VERB = re.compile(
    rf"(?:i|we|i for one|i,? personally,?|i myself) (?P<before>(?:{HELPING}"
    rf" )*?)(?:(?P<not>{NOT}) (?P<inner>(?:ever |{ADVERB} )*?))?"
    rf"(?:(?P<negative>{NEGATIVE})|(?P<positive>{POSITIVE}))(?P<after>(?: {ADVERB})*)\b{COMPLEMENT}"
)
_I_AM_NOT = re.compile(
    rf"(?:i|we) (?:am|are) (?P<before>(?:{ADVERB} )*)(?P<not>{NOT}) (?P<inner>(?:{ADVERB}"
    rf" )*?)(?:(?P<positive>in favou?r|for|with|on the side|of the "
    rf"(?:view|opinion|belief|mind)|a fan|a supporter|a believer|a friend)|(?P<negative>against|opposed)){COMPLEMENT}"
)
_I_HAVE_NEVER = re.compile(
    rf"i have never (?:{ADVERB} )*(?:been of the (?:opinion|view|belief)|been in favour|accepted|believed|agreed"
    rf"|thought|felt|supported|held|bought|shared){COMPLEMENT}"
)
_COULD_NOT_MORE = re.compile(
    rf"i (?:could|can) not (?:possibly )?(?P<verb>agree|disagree|support|oppose) (?P<more>more"
    rf"|less)(?: strongly)?{COMPLEMENT}"
)
_CAN_ONLY = re.compile(
    rf"i (?:can|could) not (?:help but|but) (?:(?P<positive>think|agree|believe|feel|say)|(?P<negative>disagree"
    rf"|doubt|object)){COMPLEMENT}"
)
_MY_VIEW = re.compile(
    rf"(?:my {MINE}(?:view|opinion|position|answer|belief|choice|stance|take|conviction|feeling|preference|verdict"
    rf"|conclusion|vote|pick|sense|viewpoint)"
    rf"|the (?:simple |plain |honest )?(?:truth|fact|answer|reality)|what i (?:think|believe)|the (?:view|statement"
    rf"|one|option|opinion|side)"
    rf"(?: that is| which is)? (?:closer|closest|nearer) to (?:my (?:own )?view|mine)) (?:of the matter |on this "
    rf"|here |on the matter )?"
    rf"(?:is|remains|would be)(?P<not> (?:{NOT}))?(?: simply| clearly| firmly| still)?(?: that)?{QUOTE}"
)
_IT_IS = re.compile(
    rf"(?:it|this|that) (?:{IS} |(?=(?:would|can|could) not be ))(?P<before>(?:{ADVERB}"
    rf" )*?)(?P<not>{NOT} (?:be )?)?(?P<inner>(?:{ADVERB} )*?)"
    rf"(?:(?P<true>{TRUE})|(?P<plain>{PLAIN})|(?P<false>{FALSE})){THAT}"
)
_THERE_IS = re.compile(
    rf"there is (?:(?P<sure>no (?:doubt|question|denying|disputing|way around the fact)(?: in my mind| about it)?"
    rf"|(?:strong |good |plenty of |clear )?evidence)"
    rf"|(?P<none>no truth (?:in|to)|no merit (?:in|to)|nothing true (?:in|about)|not (?:a grain|a shred|an ounce"
    rf"|any) of truth (?:in|to)|no sense in|little truth (?:in|to))"
    rf"|(?P<fine>nothing (?:wrong|false|absurd|mistaken) (?:with|in|about))){COMPLEMENT}"
)
_I_SEE = re.compile(
    rf"i (?:(?:can|could|{ADVERB}) )*(?:see|find|have) (?:(?P<fine>nothing (?:wrong|false|absurd|mistaken|untrue"
    rf"|objectionable|amiss)(?: at all)? (?:with|in|about)|no (?:problem|fault|harm|error|mistake|flaw|issue)s?"
    rf"(?: at all)? (?:with|in)|no reason to (?:doubt|deny|dispute|reject|question))"
    rf"|nothing (?:right|true|good|sensible|convincing|of value)(?: at all)? (?:with|in|about)){COMPLEMENT}"
)
_OTHER = re.compile(
    rf"(?P<false>nothing (?:could be|is) (?:further|farther) from the truth than{COMPLEMENT}"
    rf"|anything but(?: {THE_IDEA})?|the (?:very )?(?:opposite|reverse|contrary) of(?: {THE_IDEA})?"
    rf"|the last thing i (?:think|believe|would say) is(?: that)?|far from(?: it being true that)?"
    rf"|(?:only )?(?:a fool|fools|an idiot) would (?:say|think|believe|claim)(?: that)?"
    rf"|(?:it|this) makes no sense to {SAY}(?: that)?|who (?:on earth |really )?(?:would )?(?:believes?"
    rf"|thinks?) that|down with|no to|not true that|not true:|false that|wrong that"
    rf"|the (?:one|view|side|statement|option) (?:that )?i (?:reject|oppose|disagree with|do not (?:share|believe"
    rf"|support|accept|agree with)) is(?: that)?|it would be (?:a mistake|wrong|an error|false) to (?:say|think"
    rf"|claim|believe)(?: that)?){QUOTE}"
    rf"|(?P<true>(?:the )?evidence (?:shows|suggests)(?: clearly)?(?: that)?|a (?:more|far more"
    rf"|much more) (?:honest|accurate|fitting|balanced|sensible|reasonable|correct|convincing) (?:interpretation"
    rf"|{NOUN}) (?:is|would be)(?: that)?|it goes without saying that|it is (?:hard|difficult"
    rf"|impossible) to (?:deny|dispute|disagree|argue with the (?:view|idea|claim))(?: that)?|the (?:one|view|side"
    rf"|statement|option) (?:that )?i (?:choose|prefer|support|agree with|share|pick|favou?r) is(?: that)?"
    rf"|count me among those who (?:say|think|believe)(?: that)?|put me down for"
    rf"|yes to|it cannot be denied that|nobody can deny that|no one can deny that|it can not be denied that"
    rf"|i would like to say that){QUOTE}"
)
_PENDING = re.compile(
    rf"(?:(?:to (?:say|think|claim|believe|argue|suggest|maintain|pretend)|(?:those|people|anyone|anybody|whoever"
    rf"|everyone|everybody)(?: who)? "
    rf"(?:says?|thinks?|claims?|believes?|argues?|insists?)\b|saying|thinking|claiming|believing)(?: that)?"
    rf"|{THE_IDEA}){QUOTE}"
)
_ATTRIBUTED = re.compile(
    rf"(?:i (?:can |do )?(?:understand|see|know|hear|realise|realize|get|appreciate) (?:why |that |how )?(?:some "
    rf"|many |other |most |so many )?(?:people|others|some|they|many) (?:might |may |would )?{SAY}(?: that)?"
    rf"|it (?:may|might) be (?:popular|common|easy|tempting|fashionable) to {SAY}(?: that)?|(?:it is"
    rf"|it has been) (?:often |sometimes |widely |commonly )?(?:said|claimed|argued|believed|thought)"
    rf"|(?:there are )?(?:some|many|most|other|few|certain|a lot of|plenty of)? ?"
    rf"(?:people|critics|others|some|opponents|supporters|experts|those|they|many|you|politicians|activists|voices"
    rf"|folks|of my friends|thinkers|commentators)"
    rf"(?: who| out there| on the other side)?(?: (?:may|might|would|could|will|do|often|sometimes|like to|love to"
    rf"|always|tend to))* "
    rf"(?:say|think|believe|claim|argue|hold|insist|maintain|feel|suggest|assert|state|tell us|tell me"
    rf"|hear)(?: that)?){QUOTE}"
)
_PUT_AS_QUESTION = re.compile(
    rf"(?:do|would|can|could|should) (?:i|we) (?:{ADVERB} )*(?:think|believe|agree|say|accept"
    rf"|support)(?: with (?:the (?:view|idea|claim)))?(?: that)?{QUOTE}"
    rf"|is it (?:really )?(?:true|right|correct|the case|fair to say) that{QUOTE}"
)


_INVERTED = re.compile(r"(?:should|must|can|do|does|is|are|will|may) (?=\w)")  # "should cars be banned?"


@dataclass(frozen=True, slots=True)
class Frame:
    """What one frame does to what follows it.

    Attributes:
        end: Index in the text where the frame ends.
        sign: 1 affirms, −1 rejects, 0 does neither: others say so, or it is open how far it holds.
        is_own: Whether the speaker says so in the first person, or as a verdict of truth.
        is_pending: Whether a verdict has to follow: "the idea that … is wrong".
        is_no: Whether it is a "no" before a statement, which may mean either side.
        is_attributed: Whether it reports what others say.
    """

    end: int
    sign: int
    is_own: bool = False
    is_pending: bool = False
    is_no: bool = False
    is_attributed: bool = False


def frame_at(text: str, start: int) -> Frame | None:
    """The frame that begins at an index in a normal form; `None` if no known frame does."""
    if (m := _LEADS.match(text, start)) is not None:
        return Frame(m.end(), 1)
    if (m := _NO.match(text, start)) is not None:
        return Frame(m.end(), 1, is_no=True)
    for found in (_own(text, start), _verdict(text, start)):
        if found is not None:
            return found
    if (m := _ATTRIBUTED.match(text, start)) is not None:
        return Frame(m.end(), 0, is_attributed=True)
    if (m := _PENDING.match(text, start)) is not None and m.end() > start:
        return Frame(m.end(), 1, is_pending=True)
    return None


def asks(text: str, start: int) -> int | None:
    """Where a question about what follows ends, such as "do I think that"; `None` where there is none."""
    m = _PUT_AS_QUESTION.match(text, start) or _INVERTED.match(text, start)
    return None if m is None else m.end()


def _own(text: str, start: int) -> Frame | None:
    if (m := _COULD_NOT_MORE.match(text, start)) is not None:
        sign = (1 if m["verb"] in ("agree", "support") else -1) * (1 if m["more"] == "more" else -1)
        return Frame(m.end(), sign, is_own=True)
    if (m := _CAN_ONLY.match(text, start)) is not None:
        return Frame(m.end(), 1 if m["positive"] else -1, is_own=True)
    if (m := _I_NEVER.match(text, start) or _I_HAVE_NEVER.match(text, start)) is not None:
        return Frame(m.end(), -1, is_own=True)
    if (m := _I_SEE.match(text, start)) is not None:
        return Frame(m.end(), 1 if m["fine"] else -1, is_own=True)
    m = _I_AM_NOT.match(text, start) or _I_VERB.match(text, start)
    if m is None:
        return None
    sign = 1 if m["positive"] else -1
    said = m[0].rstrip(" \"'")
    names = re.search(rf"\b(?:{NOUN}|this|one|following)[:,]? ?[:,]$", said) is not None
    if said.endswith((",", ":")) and not names and (sign < 0 or m["not"]):
        return Frame(m.end(), 0, is_own=True)  # "I disagree, …" may reject what was asked or what follows
    before, inner = f"{m['before']} ", f"{m['inner'] or ''} "
    after = m.groupdict().get("after") or ""
    if m["not"]:
        in_part = re.search(rf"\b{IN_PART}\b", f"{inner}{after}") is not None
        if in_part or VOID_NOT.match(m["positive"] or m["negative"]) is not None or m["not"] == "barely":
            return Frame(m.end(), 0, is_own=True)
        if m["not"] in ("hardly", "scarcely") and sign < 0:
            return Frame(m.end(), 0, is_own=True)
        # "I do not see a problem with" denies the objection, and so affirms.
        sign = 1 if re.search(r"\b(?:see|have) a problem", m["positive"] or "") else -sign
    elif re.search(r"\b(?:see|have) a problem", m["positive"] or ""):
        sign = -1
    elif re.search(r"\b(?:could|should)\b(?! only)", before) and not m["negative"]:
        return Frame(m.end(), 0, is_own=True)
    return Frame(m.end(), sign, is_own=True)


def _verdict(text: str, start: int) -> Frame | None:
    if (m := _MY_VIEW.match(text, start)) is not None:
        return Frame(m.end(), -1 if m["not"] else 1, is_own=True)
    if (m := _IT_IS.match(text, start)) is not None:
        return Frame(m.end(), sign_of_verdict(m), is_own=True)
    if (m := _THERE_IS.match(text, start)) is not None:
        return Frame(m.end(), -1 if m["none"] else 1, is_own=True)
    if (m := _OTHER.match(text, start)) is not None:
        return Frame(m.end(), 1 if m["true"] else -1, is_own=True)
    return None


def without_leads(text: str) -> str:
    """A normal form without the "honestly," and "in my view," that it begins with.

    >>> without_leads("well, in my view, this is a lie")
    'this is a lie'
    """
    while (m := _LEADS.match(text)) is not None and m.end() < len(text):
        text = text[m.end() :]
    return text
