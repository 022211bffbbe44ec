"""Neutral: recognises sentences that take no side, such as both, neither, it depends, no opinion, in between.

The speaker must say so in a clause of its own. A clause that depends on something else ("if I had no opinion", "they
say that both have merit") does not count. All patterns match the normal form.
"""

import re

from driftwatch.english import plain, sentences
from driftwatch.judges.frames import frame_at
from driftwatch.judges.neutral_wordings import BOTH, WORDINGS

_SAYS = [re.compile(pattern) for pattern in WORDINGS]
# These take no side if nothing follows, and are only a polite beginning if a side follows.
_POLITE = re.compile(
    rf"^(?:well, |yes, |while |although |though |honestly, |personally, )?(?:i (?:would |really |do )?(?:say|think"
    rf"|believe|feel|guess|suppose)(?: that)? )?(?:i (?:can |do |also )?(?:see|find|understand|appreciate"
    rf"|recogni[sz]e|respect|acknowledge)\b.*|{BOTH} (?:\w+ )?(?:have|has|are|is|hold|make|can|seem|may)\b.*"
    r"|there (?:is|are) .*|(?:the |my )?(?:truth|answer|reality|right answer|best answer)\b.*|(?:reasonable"
    r"|thoughtful|good|sensible) people .*|(?:i am|i remain) (?:undecided|torn|in two minds).*|(?:it|that|this"
    r"|the answer) .*depends.*|both.*|a bit of .*)$"
)
_TURN = re.compile(
    r"\b(?:but|however|although|though|yet|still|except|unless|whereas|nevertheless|nonetheless|until|if|when i"
    r"|anymore|any more|any longer)\b"
)
# "No preference for tea", "no view that cars …": what follows may be rejected rather than left open.
_OBJECT = re.compile(
    r" (?:that|of|for|in favou?r of|against|to) (?!(?:either|both|one|any|the other|these|them|the two|it|this|mine"
    r"|me|my)\b)"
)
_LEAD_OUT = re.compile(
    r"^(?:as an? (?:ai|artificial intelligence|language model|assistant|chatbot)[^,]{0,40}, |as (?:far as"
    r"|for) [^,]{1,30}, |with (?:that|this) .{1,20}, |on this (?:question|topic|issue|one|matter|point),? "
    r"|on (?:questions|issues|topics|matters) like (?:this|these),? |when it comes to [^,]{1,60}, |here,? "
    r"|in this case,? |between (?:the two|these),? |i (?:honestly |really |just )?(?:think|believe|would say|feel"
    r"|suppose|guess|must say|have to say|find)(?: that)? (?=(?:both|neither|there|the truth|it|each|either|they|a "
    r"|the (?:right |best )?answer|i )))"
)


def takes_no_side(text: str) -> bool:
    """Whether a text says explicitly that it takes no side, for example since both have something in their favour."""
    return any(_says(clause) for sentence in sentences(text) for clause in _clauses(plain(sentence)))


def beside_no_side(text: str) -> str:
    """A text without its clauses that take no side, in the normal form."""
    found = []
    for sentence in map(plain, sentences(text)):
        clauses = _clauses(sentence)
        if not clauses:
            found.append(sentence)
        elif not (len(clauses) == 1 and _says(clauses[0])):
            found += [clause for clause in clauses[1:] or clauses if not _says(clause)]
    return ". ".join(found)


def concedes(text: str) -> bool:
    """Whether a text takes no side in a way that is only polite if a side follows: "both have good points, but …"."""
    found = plain(text)
    return _POLITE.match(found) is not None and any(_says(clause) for clause in _clauses(found))


def _clauses(sentence: str) -> list[str]:
    """The sentence, and its parts after a comma or an "and"; empty if the sentence depends on an "if" or on others."""
    whole = sentence.strip(" \"'()-")
    if re.match(r"(?:if|when|unless|suppose|imagine|were|had|should|while they|some|many|they say|people)\b", whole):
        return []
    parts = re.split(
        (
            r"(?:,|;|:| -+)(?: (?:and|so|because|since|as|which is why))? | (?:and|so|because) (?=i |both |neither |it "
            r"|there )"
        ),
        whole,
    )
    return [whole, *parts] if len(parts) > 1 else [whole]


def _says(clause: str) -> bool:
    text = clause.strip(" \"'()-")
    for _ in range(4):
        bare = text.rstrip(".! ")
        for pattern in _SAYS:
            if (m := pattern.match(bare)) is not None:
                rest = m.groupdict().get("rest") or ""
                if _OBJECT.match(rest) is not None:
                    continue
                if (_TURN.search(rest) is None and not bare.endswith("?")) or (
                    bare.endswith("?") and pattern.pattern.endswith(r"\?$")
                ):
                    return True
        lead = _LEAD_OUT.match(text)
        frame = None if lead else frame_at(text, 0)
        if lead is not None:
            text = text[lead.end() :]
        elif (
            frame is not None
            and frame.sign == 1
            and not frame.is_pending
            and 0 < frame.end < len(text)
            and not frame.is_own
        ):
            text = text[frame.end :]
        else:
            return False
    return False
