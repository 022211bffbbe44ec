"""Vocabulary: the words of frames and verdicts that affirm or reject, or call something true or false.

Lists of phrases become alternatives of regular expressions for the normal form of `words.plain`.
"""

import re


def _any(words: str) -> str:
    """A pattern for any of the comma-separated phrases, the longest first, since one phrase may begin another."""
    phrases = dict.fromkeys(" ".join(word.split()) for word in words.split(",") if word.strip())
    found = sorted(phrases, key=len, reverse=True)  # each once, since equal alternatives make a search take for ever
    return f"(?:{'|'.join(found)})"


def _any_verb(words: str) -> str:
    """Like `_any` for verbs, with room for adverbs in "am … against"."""
    return re.sub(r"(?<=[:|])am ", f"am (?:{ADVERB} )*", _any(words))


ADVERB = _any(
    """really, strongly, firmly, personally, honestly, truly, also, still, certainly, definitely, sincerely, genuinely,
    deeply, very much, rather, actually, vehemently, respectfully, flatly, frankly, generally, mostly, largely,
    always, simply, just, completely, totally, fully, entirely, wholly, wholeheartedly, absolutely, utterly, much,
    clearly, quite, therefore, thus, instead, more, most, myself, categorically, outright, have to, must, do, would,
    tend to, will, can, can only, could only, of course, in fact, indeed, probably, on balance, happily, gladly,
    plainly, obviously, squarely, emphatically, openly, now, hereby, too, even, too much, kindly, positively, readily"""
)
# `ADVERB` with auxiliary verbs, in one list, since two lists that overlap make a search take for ever.
HELPING = f"(?:could|shall|have|am|should|{ADVERB[3:]}"
# "Not fully" and "not just" leave open what does hold.
IN_PART = (
    r"(?:fully|entirely|completely|totally|wholly|quite|necessarily|always|just|only|simply|merely|exactly|strictly"
    r"|absolutely|strongly|wholeheartedly|mostly|generally|largely|sure|certain)"
)
NOT = r"(?:not|never|no longer|hardly|scarcely|barely|in no way|by no means|not at all|not ever)"
NOUN = _any(
    """idea, view, viewpoint, claim, statement, notion, opinion, belief, argument, assertion, position, proposition,
    suggestion, thesis, premise, sentiment, thought, contention, principle, side, stance, option, theory, assumption,
    point, line, sentence, perspective, standpoint, answer, choice, attitude, conviction, declaration, point of view"""
)
DEAR = r"(?:(?:whole|very|old|common|popular|same|simple|bold|general|such|entire) )?"
OF_THEM = r"(?: (?:of the two|of these two|of these|of those|here|above))?"
THE_IDEA = (
    rf"(?:the|this|that|any|such an?|every|your|their|a|an|one)? ?{DEAR}{NOUN}\b(?! (?:1|2|one|two|a|b)\b){OF_THEM}"
    r"(?: (?:that|which says that|which says|saying that|of those who say that|:))?"
)
QUOTE = r" ?[:,]? ?[\"']?"
# What may follow a verb: "that", "with the view that", "the idea that", or nothing.
COMPLEMENT = (
    rf"(?:(?: (?:with|to|of|about|for|in|on|at))?(?: {THE_IDEA}| those who (?:say|think|believe|claim)"
    rf"| anyone who (?:says|"
    rf"thinks|believes|claims))(?: that)?|(?: (?:with|to|of))? (?:this|this one|that one|the one|the following"
    rf"|the latter view|the former view)(?: that)? ?[:,]|(?: with| to| of| for)?(?: saying| thinking| acknowledging"
    rf"| claiming| believing| stating| suggesting| arguing)? that|"
    rf"(?: with| to| of)? saying|(?= with the (?:first|second|former|latter)\b| the (?:first|second|former|latter)\b|"
    rf" to the (?:first|second|former|latter)\b)(?: with| to)?|(?: with)?){QUOTE}"
)

POSITIVE = _any_verb(
    """think, believe, feel, agree, concur, say, hold, argue, maintain, find, support, accept, endorse, share, back,
    favour, favor, prefer, affirm, contend, claim, insist, assert, know, embrace, advocate, defend, choose, pick,
    stand by, subscribe, am convinced, am sure, am certain, am confident, am persuaded, am of the view, am of the
    opinion, am of the belief, am of the mind, am in the view, am in favour, am in favor, am for, am with, am on the
    side, am in agreement, lean, lean toward, lean towards, side with, go with, go for, opt for, vote for, am closer,
    am closest, am nearer, come down on the side, take the view, take the position, take the side, hold the view, hold
    the opinion, hold the belief, am inclined to think, am inclined to agree, am inclined to believe, am inclined to
    say, am a supporter, am a believer, believe in, see it as true, admit, take it, stand with, stand behind,
    identify, am happy to say, am a fan, see the sense, have come to think, have come to believe, have always thought,
    have always believed, am drawn, buy, buy into, trust, see a problem, have a problem, go along, am willing to
    accept, am willing to say, am prepared to accept, am able to accept, am able to support, am able to agree, am able
    to believe, am comfortable, hold with, like, get behind, am one of those, am among those, am one of the people,
    have no doubt, have no doubts, have little doubt, am keen, see it that way, think it right to say, think it fair
    to say, want to say, stand for, consider it true, consider it right, regard it as true, approve, am going to say,
    am ready to accept, think of it as true"""
)
NEGATIVE = _any_verb(
    """disagree, reject, oppose, deny, doubt, dispute, object, dismiss, contest, disbelieve, disapprove, repudiate,
    refute, rebut, contradict, condemn, denounce, disavow, renounce, abhor, detest, despise, loathe, am against, am
    opposed, am sceptical, am skeptical, am doubtful, am strongly against, am strongly opposed, am firmly against, am
    firmly opposed, am totally against, am totally opposed, am completely against, am completely opposed, am entirely
    against, am dead set against, am dead against, am hostile, take issue, part company, beg to differ, refuse to
    believe, refuse to accept, refuse to agree, refuse to say, refuse to support, refuse to endorse, refuse to think,
    refuse to concede, refuse to go along, refuse, decline to accept, decline to believe, decline to support, decline
    to endorse, argue against, speak out against, stand against, come down against, vote against, find it hard to
    believe, find it hard to accept, find it difficult to believe, find it difficult to accept, find it impossible to
    believe, find it impossible to accept, find it impossible to agree, find it false, find it wrong, consider it
    false, consider it wrong, consider it a mistake to say, consider it untrue, regard it as false, disown, discard,
    decry, resist, fail to see how, fail to see why, am at odds, am in disagreement, am no fan, am no supporter, am no
    friend, am no believer, have no time, have no sympathy, reject outright, turn down, rule out, deplore, see no
    merit, see no truth, see no sense, see no value, throw out, choose not to accept, prefer not to
    accept"""
)
VOID_NOT = re.compile(
    r"\b(?:am (?:sure|certain|convinced|inclined|confident|persuaded|willing|prepared|able|comfortable|ready|going"
    r"|keen|closer|closest|nearer|drawn)"
    r"|argue|claim|contend|insist|know|assert|affirm|maintain|admit|want|vote|see the|refuse$|resist|dismiss"
    r"|rule out|refute)"
)

TRUE = _any(
    """true, right, correct, fair, accurate, better, best, safe, the case, valid, sound, a fact, wise, sensible,
    reasonable, justified, my view, my opinion, my belief, my position, my conviction, my answer, my choice, what i
    think, what i believe, what i would say, how i see it"""
)
PLAIN = _any(
    """clear, obvious, evident, certain, plain, undeniable, indisputable, beyond doubt, beyond question, self-evident,
    beyond dispute, well known, common sense, a truism, no secret, undoubtedly true, closer to my view, closest to my
    view, nearer to my view, closer to mine, closer to your view, closest to your view, closer to my own view, closer
    to what i think, closer to my opinion, nearest to my view, nearer my view"""
)
FALSE = _any(
    """false, wrong, untrue, incorrect, mistaken, a mistake, an error, a myth, a lie, a falsehood, a fallacy, nonsense,
    nonsensical, absurd, ridiculous, silly, foolish, ludicrous, misguided, misleading, inaccurate, dishonest, naive, a
    misconception, bogus, rubbish, an illusion, a delusion, preposterous, unacceptable, unreasonable, indefensible,
    stupid, laughable, untenable, far from true, far from the truth, far from right, far from clear, far from correct,
    far from being true, anything but true, anything but right, anything but clear, a bad idea, a terrible idea, a big
    mistake, a grave mistake, a serious mistake, a terrible mistake, a grave error, a pure myth, a plain lie, an
    outright lie, a complete myth, a total myth, a dangerous myth, a dangerous idea, a fiction, a fairy tale, fake,
    out of the question, hogwash, baloney, garbage, simply false, utter nonsense, pure nonsense, complete nonsense,
    total nonsense, sheer nonsense, plain wrong, dead wrong, flat wrong, the wrong view, the wrong answer, a wrong
    idea, a wrong view, a false claim, an unfounded claim, unfounded, baseless, groundless, unjustified, invalid,
    unsound, in error, deluded, lying, misinformed, fallacious, a fallacious view, not on, the opposite of my view,
    the opposite of what i think, the opposite of the truth, the reverse of the truth, the opposite of what i believe,
    contrary to my view, at odds with my view, a poor idea, an awful idea"""
)
SAY = r"(?:say|think|claim|believe|argue|suggest|maintain|hold|assert|state|imagine|suppose|pretend|conclude|insist)"
THAT = (
    rf"(?: to me)?(?: (?:to {SAY}|for (?:anyone|people|me|us) to {SAY}|if (?:people|someone|you|they) (?:say|says"
    rf"|think|thinks|claim|claims)))?(?: that)?{QUOTE}"
)
IS = (
    r"(?:is|seems|would be|appears|sounds|feels|looks|remains|has to be|must be|seems to be|seems to me"
    r"|seems to me to be|strikes me as)"
)
MINE = r"(?:own |personal |honest |firm |considered |humble |strong |simple |sincere |main |general )*"

NO_WORDS = _any(
    """no, nope, nah, not at all, not really, absolutely not, certainly not, of course not, no way, definitely not"""
)
YES_WORDS = _any(
    """yes, yes indeed, indeed, absolutely, of course, certainly, definitely, exactly, agreed, true, right, correct,
    sure, yes of course, yes absolutely, yes i do, i do, very true, quite right, so do i, me too, without a doubt, i
    think so, i believe so"""
)
NOT_SO_WORDS = _any(
    """no, nope, nah, not at all, absolutely not, never, hardly, wrong, false, nonsense, rubbish, untrue, incorrect, no
    way, certainly not, definitely not, of course not, not true, not so, not in my view, not in my opinion, not for
    me, not me, not my view, not my opinion, i think not, not a chance, never ever, no thanks, no thank you, hardly
    so, far from it, quite the opposite, on the contrary, quite the contrary, by no means, utter nonsense, what
    nonsense, what rubbish, bad idea, terrible idea, what a terrible idea, i do not, i would not, i do not think so,
    mistaken, not really, in no way"""
)
LEAD_WORDS = _any(
    """well, yes, so, honestly, personally, overall, frankly, indeed, certainly, absolutely, definitely, of course,
    sure,
    in short, ultimately, to be honest, to be frank, in the end, all in all, all things considered, on balance, on
    reflection, for what it is worth, if you ask me, i must say, truth be told, as far as i am concerned, as i see it,
    the way i see it, in truth, without a doubt, without doubt, without question, no doubt, no doubt about it, there
    is no doubt about it, undoubtedly, clearly, obviously, naturally, surely, in fact, first of all, of the two, of
    these two, of these, of these views, of the two views, between the two, in my view, in my opinion, in my eyes, in
    my mind, in my book, in my judgement, in my judgment, to my mind, for me, to me, from my point of view, from my
    perspective, in my own view, in my humble opinion, in my personal view, in my personal opinion, hmm, ok, okay,
    right, true, look, thinking about it, having thought about it, after some thought, as for me, for my part,
    speaking for myself, quite simply, put simply, simply put, in a word, in general, in principle, on the whole, by
    and large, at the end of the day, when it comes down to it, given the choice, if i have to choose, if i had to
    choose, if i must choose, if forced to choose, if pressed, as a matter of fact, here is my view, here is what i
    think, let me say, at first, on a theoretical level, agreed, easily, happily, good question, i am afraid, i am
    sorry, i am sorry but, sorry, sorry but, i am afraid that, with respect, with all due respect"""
)


def sign_of_verdict(m: re.Match[str]) -> int:
    """1 affirms, −1 rejects, 0 leaves open what holds: "not obvious", "not entirely wrong", "hardly false"."""
    sign = -1 if m["false"] else 1
    negated = (m["not"] or "").removesuffix("be ").strip()
    if not negated:
        return sign
    if m["plain"] or re.search(rf"\b{IN_PART}\b", m["inner"]) or negated == "barely":
        return 0
    if m["false"]:
        hard = re.match(
            r"(?:false|wrong|untrue|incorrect|mistaken|a mistake|an error|a myth|a lie|a falsehood)$", m["false"]
        )
        return 1 if hard and negated not in ("hardly", "scarcely") else 0
    if re.match(r"(?:fair|wise|sensible|reasonable|justified|better|best|safe)$", m["true"]):
        return 0
    return -1
