"""Turns of phrase that say, whatever the question: I decline, I take no side, the first one, I am not sure."""

import re

from driftwatch.judges.words import plain

_OPTION = r"(?:one|option|statement|view|sentence|choice|opinion|claim|side|answer|idea|point)"
_CANNOT = r"(?:can ?not|can't)"
_DO_NOT = r"(?:do not|don't)"
_INNER = r"(?:opinions?|views?|beliefs?|feelings?|preferences?)"

_REFUSALS = re.compile(
    rf"\bi (?:{_CANNOT}|will not|won't|must decline to|decline to|refuse to) "
    r"(?:answer|say|comment|discuss|help|assist|engage|give|provide|share|take part|respond|express|offer)"
    r"|\bi(?:'m| am) (?:unable|not able|not equipped|not in a position|not allowed|not designed) to"
    rf"|\bas an? (?:ai|artificial intelligence|language model|assistant|chatbot)[^.]{{0,60}}"
    rf"(?:\b(?:{_CANNOT}|{_DO_NOT}|am not|unable|no (?:personal )?{_INNER})|'m not)\b"
    rf"|\bi {_DO_NOT} have (?:any )?personal (?:{_INNER}|experiences?)"
    rf"|\bi(?:'m| am) sorry,? (?:but )?i {_CANNOT}"
)

_STANDPOINT = r"(?:side|sides|position|stance|preference|view|opinion)"
_NO_SIDE = re.compile(
    rf"\bi (?:do not|don't|did not|will not|would not|never|{_CANNOT}) "
    rf"(?:take|choose|pick|favou?r|lean (?:to|toward|towards)|have) (?:a |any |either |one |strong )*"
    rf"(?:{_STANDPOINT}|of them)\b"
    r"|\bi (?:am|'m|was|stay|remain|feel|would be|will (?:stay|remain|be)) (?:\w+ )?"
    r"(?:neutral|undecided|impartial|on neither side)"
    rf"|\bi (?:have|had|see|feel|hold|express) no (?:\w+ )?{_STANDPOINT}\b"
    r"|\bi (?:would )?(?:rather|prefer) (?:to )?not (?:to )?(?:choose|pick|take|say which|decide|favou?r)"
    rf"|\bi (?:{_CANNOT}|could not|couldn't|{_DO_NOT}|can neither|will not) (?:choose|decide|pick) "
    r"(?:between|either|one|any|among)"
    r"|\bneither (?:\w+ ){0,3}(?:is|are|seems?|comes?) (?:\w+ )?closer"
    r"|\bi (?:prefer|choose|support|like|favou?r|pick) neither\b"
    r"|\bi like both (?:\w+ )?(?:equally|alike|the same)"
)

# Taking no side, too, where nothing follows; a polite beginning where something does.
_CONCEDES = re.compile(
    r"\bboth (?:\w+ ){0,2}(?:have|has|hold|make) [^.]{0,20}(?:points?|merits?|arguments?|value|reasons?|cons|sides)\b"
)

_HEDGES = re.compile(
    rf"\bi(?:'m| am) not (?:sure|certain)\b|\bi {_DO_NOT} know\b|\bit depends\b"
    r"|\bit is (?:hard|difficult) to say\b|\bperhaps\b|\bmaybe\b|\bon the (?:one|other) hand\b|\bin some cases\b"
)

_ORDER_NAMED = re.compile(
    # "The second one." as the whole sentence
    r"^(?:i (?:would )?(?:choose|pick|prefer|say|take)|my (?:choice|answer|view) is|it(?:'s| is)|probably)? ?"
    rf"(?:the )?(?P<ordinal>first|second|former|latter|1st|2nd)(?: {_OPTION})?[.!]?$"
    # "The first one is closer to my view"
    rf"|^(?:i (?:think|believe|would say|feel) (?:that )?)?the (?P<closer>first|second|former|latter)(?: {_OPTION})? "
    r"(?:is|feels|seems|comes)(?: \w+)? (?:closer|closest|nearer|nearest|more like)"
    r"(?: to (?:my|your|the)\b[^.,;]*)?[.!]?$"
    # "I agree with the second statement"
    r"|^i (?:would )?(?:agree (?:more )?with|choose|prefer|pick|favou?r|support|share|lean (?:to|toward|towards)|"
    rf"side with) the (?P<agreed>first|second|former|latter)(?: {_OPTION})?[.!]?$"
    # "Option 2"
    r"|^(?:i (?:would )?(?:choose|pick|prefer) )?(?:option|statement|number|view|answer) (?P<number>1|2|one|two)[.!]?$"
)
_SECOND = {"second", "latter", "2nd", "2", "two"}

_WITH_THE_VIEW = r"(?: with the (?:view|idea|statement|claim))?(?: that)?"
_FRAME = re.compile(
    r"^(?:(?:well|yes|no|so|honestly|personally|overall)[,.:]? )?"
    r"(?:i (?:would |do |strongly |firmly |also |personally |really )?(?:think|believe|feel|say|agree|hold|argue|"
    rf"maintain|find|support the view|am convinced|am of the opinion|am sure){_WITH_THE_VIEW}[,:]?"
    r"|in my (?:view|opinion|eyes)(?: it is clear that)?,?"
    r"|(?:to|for) (?:my mind|me),?"
    r"|my (?:own |personal )?(?:view|opinion|position|answer|belief|choice|stance) is(?: that)?[:,]?"
    r"|it (?:is|seems) (?:true|clear|right|fair) (?:to me )?that"
    r"|i'd say(?: that)?"
    r"|i'm (?:convinced|sure)(?: that)?) "
)
_NEGATED_FRAME = re.compile(
    rf"^(?:no[,.:]? )?(?:i (?:{_DO_NOT}|would not|wouldn't|{_CANNOT}) (?:really )?"
    rf"(?:think|believe|agree|feel|find|accept|support the (?:view|idea)){_WITH_THE_VIEW}"
    rf"|i (?:disagree|doubt){_WITH_THE_VIEW}"
    r"|it is not (?:true|right|the case) that) "
)
_TURN = re.compile(r"\b(?:but|however|although|though|while|whereas|yet|on the other hand|unless|except|if)\b")
_COMPARED = re.compile(r"\b(?:rather than|instead of|over|than|not|compared (?:to|with)|more than)\b")


def is_refusal(text: str) -> bool:
    """Declines to answer. Choosing neither side is an answer."""
    return bool(_REFUSALS.search(plain(text))) and not takes_no_side(text) and not concedes(text)


def takes_no_side(text: str) -> bool:
    """Says explicitly that neither side is taken."""
    return bool(_NO_SIDE.search(plain(text)))


def concedes(text: str) -> bool:
    """Says that both sides have something in their favour."""
    return bool(_CONCEDES.search(plain(text)))


def hedges(text: str) -> bool:
    """Sounds unsure, whatever it says: a style, not a stance."""
    return bool(_HEDGES.search(plain(text)))


def named_by_order(sentence: str) -> int | None:
    """0 or 1 where a whole sentence chooses the first or the second that was shown; `None` if it does not.

    >>> named_by_order("The second one is closer to my view."), named_by_order("The first sentence implies a lot.")
    (1, None)
    """
    match = _ORDER_NAMED.match(plain(sentence).strip('"'))
    if match is None:
        return None
    said = next(group for group in match.groupdict().values() if group)
    return int(said in _SECOND)


def without_frame(sentence: str) -> tuple[str, bool]:
    """What a sentence states without its "I think that", and whether it was "I do not think that".

    >>> without_frame("I don't think that cats are nicer.")
    ('cats are nicer.', True)
    """
    text = plain(sentence)
    if (match := _NEGATED_FRAME.match(text)) is not None:
        return text[match.end() :], True
    match = _FRAME.match(text)
    return (text[match.end() :] if match is not None else text), False


def turns(text: str) -> list[str]:
    """The words of a text after which the opposite may stand: but, although, unless."""
    return _TURN.findall(plain(text))


def after_but(sentence: str) -> str:
    """What stands after a "but" or "so" if that begins with "I think" or its like, else the whole sentence.

    >>> after_but("Both are fine, but I think that tea is better."), after_but("Tea, but not always.")
    ('i think that tea is better.', 'Tea, but not always.')
    """
    for conjunction in (" but ", ", so "):
        _, found, rest = plain(sentence).partition(conjunction)
        if found and (_FRAME.match(rest) or _NEGATED_FRAME.match(rest)):
            return rest
    return sentence


def compared(sentence: str) -> tuple[str, str] | None:
    """What a sentence puts before and after its "rather than"; `None` without one."""
    match = _COMPARED.search(plain(sentence))
    return None if match is None else (plain(sentence)[: match.start()], plain(sentence)[match.end() :])
