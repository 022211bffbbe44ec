"""Neutral wordings: regular expressions for clauses that take no side, matched from a clause's beginning."""

_NOUN = (
    r"(?:views?|sides?|statements?|options?|opinions?|positions?|ideas?|claims?|arguments?|points?|perspectives?"
    r"|answers?"
    r"|sentences?|viewpoints?|choices?|stances?|approaches|cases?|camps?|ways|propositions?|thoughts?)"
)
_ADJ = (
    r"(?:(?:strong|firm|clear|real|settled|fixed|particular|definite|good|fair|some|great|much|a lot of|plenty of"
    r"|valid|solid|certain|equal|considerable|sound|reasonable|strongly held|genuine|compelling|a bit of|any|a|an"
    r"|one|of|"
    r"lots of|enough|more than enough|equally|very|quite|decent|legitimate|own|their|its|such|as much|convincing"
    r"|single) )*"
)
_ADV = (
    r"(?:(?:really|honestly|personally|still|quite|completely|totally|entirely|rather|pretty|very|somewhat"
    r"|genuinely|truly"
    r"|simply|just|always|equally|perfectly|fully|also|both|frankly|a bit|a little|largely|generally|usually"
    r"|actually|all"
    r"|probably|certainly|partly|partially|mostly|strictly|neither|sort of|kind of|evenly|deeply|indeed|do|can"
    r"|would|will"
    r"|try to|prefer to|tend to|aim to|strive to|choose to|have to|want to|like to|am happy to|shall|must|could"
    r"|should|may"
    r"|might|seem to|as of now|currently|at the moment|for now|so far) )*"
)
_NOT = r"(?:not|never|neither|hardly|no longer)"
BOTH = (
    rf"(?:both(?: of (?:them|these|the two|those))?(?: (?:of )?(?:these |the |those |your )?(?:two )?{_NOUN})?"
    rf"|each(?: (?:one|of (?:them|these|the two)))?(?: {_NOUN})?|either(?: (?:one|of (?:them|these"
    rf"|the two)))?(?: {_NOUN})?"
    rf"|(?:the|these) two(?: {_NOUN})?|they(?: both)?)"
)
TWO = (
    rf"(?:both(?: of them| of these)?(?: (?:the |these |of the |of these )?(?:two )?{_NOUN})?|each(?: (?:one"
    rf"|of them|of these))?(?: {_NOUN})?|either(?: (?:one|of them|of these|of the two))?(?: {_NOUN})?"
    rf"|the two(?: {_NOUN})?|these two(?: {_NOUN})?|them both|the other)"
)
_MERIT = (
    r"(?:merits?|truth|points?|value|validity|sense|strengths?|advantages?|reasons?|pros and cons|arguments?|wisdom"
    r"|weight"
    r"|virtues?|benefits?|logic|appeal|strengths and weaknesses|good and bad|upsides?|something|pros|cons|sides"
    r"|place|room|weaknesses|flaws|drawbacks)"
)
_END = r"(?P<rest>$|[ ,].*)"

WORDINGS = [
    # I take no side
    (
        rf"i {_ADV}{_NOT} {_ADV}(?:have|hold|take|choose|pick|favou?r|support|express|adopt|form|formed|share"
        rf"|endorse) {_ADJ}(?:side|sides|position|positions|stance|stances|preference|preferences|view|views|opinion"
        rf"|opinions|feelings?|favou?rite|leaning|either|one over the other|one side|any of (?:them|these)|between"
        rf"|of them){_END}"
    ),
    (
        rf"i {_ADV}{_NOT} {_ADV}(?:lean|tend|side|tilt|incline|go)(?: strongly| more)? (?:either way"
        rf"|one way or (?:the other|another)|(?:to|toward|towards|with) (?:either|one side|any)"
        rf"|in either direction){_END}"
    ),
    rf"i {_ADV}{_NOT} {_ADV}(?:prefer|favou?r) (?:one|either|any)\b{_END}",
    (
        rf"i {_ADV}{_NOT} {_ADV}(?:choose|decide|pick|judge)(?: (?:between|among|either|one|any|which|a side|sides)\b|$"
        rf"|[.,]){_END}"
    ),
    rf"i {_ADV}(?:rather|prefer) (?:to )?not (?:to )?(?:choose|pick|take|say which|decide|favou?r|lean|side){_END}",
    (
        rf"i {_ADV}(?:have|had|see|feel|hold|express|take|possess) no {_ADJ}(?:side|sides|position|stance|preference"
        rf"|view|views|opinion|opinions|feelings?|favou?rite|leaning)\b{_END}"
    ),
    (
        rf"(?:i (?:have )?)?no {_ADJ}(?:preference|opinion|view|side|stance|position|leaning)(?: either way| here"
        rf"| on this| from me| at all| really)?$"
    ),
    (
        rf"i {_ADV}(?:am|was|stay|remain|feel|be|stand|keep) {_ADV}(?:neutral|undecided|impartial|torn|on the fence"
        rf"|in two minds|of two minds|ambivalent|agnostic|indifferent|on neither side|in the middle|split|divided"
        rf"|somewhere in (?:between|the middle)|uncommitted|between the two|caught in the middle|at a crossroads?"
        rf"|non-?committal|even-?handed|unbiased|open to both|sitting on the fence|somewhere between){_END}"
    ),
    rf"i {_ADV}(?:remain|stay|am|be|keep) out of (?:this|it){_END}",
    rf"(?:i {_ADV}(?:sit|am sitting|stay|am|stand|remain) )?on the fence{_END}",
    rf"(?:i )?{_ADV}(?:go|can see myself going|lean|swing|could go) (?:either|both) ways?{_END}",
    (
        rf"my (?:view|position|stance|answer|opinion) is {_ADV}(?:neutral|undecided|neither|both"
        rf"|somewhere in (?:between|the middle)|in between|in the middle|mixed|a (?:mix|mixture|blend|bit|combination"
        rf"|balance) of (?:both|the two|each)|between the two|balanced){_END}"
    ),
    (
        r"(?:neutral|undecided|fifty-fifty|50[/-]50|a (?:tie|draw|toss-up)|it is a (?:tie|draw|toss-up|wash)|(?:equal"
        r"|even)|no side|abstain|i abstain|i pass on choosing|call me undecided|color me undecided"
        r"|count me as undecided|put me down as (?:neutral|undecided))(?: on this| here)?$"
    ),
    (
        rf"i {_ADV}(?:have not|not have|have not yet|have yet to) (?:really |quite |yet )*(?:made|make|made up|make up"
        rf"|decided|chosen|settled)\b(?: up)?(?: my mind)?(?: on .*| about .*| yet| here)*$"
    ),
    r"(?:my mind is not (?:yet )?made up|the jury is (?:still )?out)(?: .{0,20})?$",
    (
        rf"i {_ADV}(?:am|will be) {_ADV}not (?:going to be |going to )?(?:taking|choosing|picking|take|choose"
        rf"|pick) (?:a |any |either )?(?:side|sides|position|stance)\b{_END}"
    ),
    (
        rf"i {_ADV}(?:refuse|choose not|decline|prefer not|would rather not|opt not) to (?:pick|take"
        rf"|choose)(?: between .*)? (?:a |any |either |one )?(?:side|sides|position|stance|of (?:them|these))\b{_END}"
    ),
    (
        rf"i {_ADV}(?:have|am of|am) (?:very |rather |quite )?(?:mixed feelings|mixed minds|conflicted"
        rf"|a mixed mind)\b{_END}"
    ),
    rf"i {_ADV}(?:argue|make a case for|defend|see myself on) (?:either|both)(?: side| sides| of them)?\b{_END}",
    (
        rf"i {_ADV}(?:fall|land|stand|come down|put myself|place myself|find myself|end up|am) {_ADV}(?:right "
        rf"|squarely |somewhere |firmly )*(?:in (?:the middle|between)|between (?:the two|these two|them|both))\b{_END}"
    ),
    rf"i {_ADV}(?:am|stand at) (?:50[/-]50|fifty-fifty)\b{_END}",
    r"i (?:do not|would not) (?:really )?(?:mind|care)(?: (?:either way|which.*|one way or the other))$",
    (
        rf"(?:it is|i find it|this is) {_ADV}(?:hard|impossible|difficult|tough|too hard"
        rf"|too close) (?:for me )?to (?:choose|decide|pick|call)\b{_END}"
    ),
    (
        r"(?:sometimes|in some cases|on some days|some days)(?: it is)? (?:the )?(?:one"
        r"|first)(?: one)?,? (?:and )?(?:sometimes|in other cases|in others|on others|other days"
        r"|on other days)(?: it is)? (?:the )?(?:other|second)(?: one)?$"
    ),
    (
        r"i do not (?:really )?(?:think|believe)(?: that)? (?:either|any)(?: (?:one|of (?:them|these|the two)|view|side"
        r"|statement|opinion|option))? (?:is|has|holds|captures|gets) .*$"
    ),
    (
        r"(?:it is|this is) not (?:really )?(?:a (?:question|matter|case) of )?(?:one or the other|either[ -]or"
        r"|a choice between the two)$"
    ),
    (
        r"there is no (?:right or wrong|single|one|single right|one right|single correct|one correct|hard-and-fast"
        r"|one-size-fits-all|universal)(?: right| correct)? answer(?: here| to this| to this question| to that)?$"
    ),
    # Neither
    (
        rf"neither(?: (?:one|of (?:them|these|those|the two)(?: {_NOUN})?|{_NOUN}|side))?(?:,? (?:really|honestly"
        rf"|to be honest|i am afraid|for me|in my view|entirely|actually|of them))*$"
    ),
    (
        rf"neither (?:one |of (?:them|these|those|the two) ?)?(?:\w+ ){{0,2}}?{_ADV}(?:is|are|seems?|feels?|comes?"
        rf"|captures?|reflects?|describes?|fits?|represents?|convinces?|persuades?|speaks?|sounds?|matches|works?|has"
        rf"|appeals?|holds?|satisfies|does|strikes?|tells?|suits?){_END}"
    ),
    (
        rf"i {_ADV}(?:agree with|prefer|choose|support|like|favou?r|pick|share|side with|lean toward|lean towards"
        rf"|go with|endorse|take|identify with|accept|go for|hold|say) (?:neither|both|each)(?: (?:of (?:them|these"
        rf"|the two)|one))?(?: (?:of )?(?:the )?(?:two )?{_NOUN})?(?: (?:equally|alike|the same|in part|to (?:some"
        rf"|a) (?:degree|extent)|somewhat))?{_END}"
    ),
    (
        rf"(?:i )?{_ADV}(?:agree with|prefer|choose|support|like|favou?r|share|value|see|want|accept|respect|understand"
        rf"|appreciate) (?:a (?:bit|little|mix|mixture|part|piece) of |parts of |elements of |aspects of |some of "
        rf"|something (?:in|of) )?(?:both|each)(?: (?:of (?:them|these|the two)|one))?(?: (?:of )?(?:the "
        rf"|these )?(?:two )?(?:\w+ )?(?:{_NOUN}))?(?: (?:equally|alike|the same|in part|to (?:some|a) (?:degree"
        rf"|extent)|somewhat))?$"
    ),
    (
        rf"i {_ADV}(?:disagree|object to|reject|oppose|am opposed to|am against|do not agree|(?:do |would "
        rf"|can )?not (?:fully |entirely |completely |really |quite |wholly )?(?:agree|identify)|do not identify"
        rf"|am not a fan|am no fan|not agree|not identify|not disagree|not support|not object|not like|not accept"
        rf"|am not fond|am not for|am not convinced by|am not happy)(?: with| of| to| by)? (?:both|either|each"
        rf"|the opinions|these opinions|the views|these views|the statements|these statements)(?: (?:of (?:them|these"
        rf"|those|the two)|one))?(?: (?:of )?(?:the |these |those )?(?:two )?{_NOUN})?{_END}"
    ),
    # Both
    (
        rf"{BOTH} {_ADV}(?:are|is|can be|may be|might be|could be|seem|seems|sound|look|feel|be) {_ADV}(?:right"
        r"|close|closer|closest|valid"
        rf"|true|fine|correct|reasonable|important|good|equal|legitimate|sensible|appealing|attractive|acceptable"
        rf"|justified|fair|understandable|wrong|false|flawed|too extreme|extreme|one-sided|convincing|sound|worthwhile"
        rf"|defensible|plausible|partly right|partly true|half right|half true|ok|okay|compelling|desirable"
        rf"|equally (?:good|valid|right|true|important|appealing)|valid points|good (?:points|options|ideas|choices)"
        rf"|in (?:my|their) (?:own )?way)\b{_END}"
    ),
    (
        rf"{BOTH} {_ADV}(?:have|has|hold|holds|make|makes|contain|contains|deserve|deserves|carry|offer|offers|bring"
        rf"|come with|raise|raises) {_ADJ}(?:\w+ )?{_MERIT}\b{_END}"
    ),
    (
        rf"{BOTH} (?:have|has) (?:a |their |its |something |some )*(?:point|points|say|merits|place|strengths|good"
        rf"|appeal|going|pros|truth)\b{_END}"
    ),
    (
        rf"i {_ADV}(?:see|find|recogni[sz]e|appreciate|understand|acknowledge|feel"
        rf"|hear) {_ADJ}(?:the )?{_ADJ}{_MERIT}(?: and {_MERIT})?(?: (?:in|on|for|with|to|of|behind"
        rf"|from) )(?:the )?{TWO}{_END}"
    ),
    (
        rf"i {_ADV}(?:see|understand|appreciate|respect|get|recogni[sz]e) (?:that )?{BOTH}(?: (?:have|has|are|make"
        rf"|hold).*)?$"
    ),
    (
        rf"(?:i (?:think|see|believe|feel|find)(?: that)? )?there (?:is|are|is surely|are surely) {_ADV}(?:a |some "
        rf"|much |something |a lot |plenty |good |strong |valid |fair |solid |convincing |a good |a strong |a case "
        rf"|)*{_ADJ}(?:\w+ )?(?:{_MERIT}|to be said|case|case to be made)(?: and {_MERIT})?(?: to be (?:made|said"
        rf"|found))? (?:on|in|for|to|of|with) (?:the )?{TWO}{_END}"
    ),
    (
        r"(?:i (?:would )?(?:say|think|guess|suppose|prefer|want|like) )?(?:both|a (?:bit|little|mix|mixture|blend"
        r"|combination|balance) of (?:both|each|the two)|a bit of each|half and half|some of (?:both|each)"
        r"|a (?:middle (?:ground|way|path)|compromise|balance)(?: between (?:the two|them|both))?"
        r"|somewhere in (?:the middle|between)|something in between|in between|both, (?:really|equally|honestly"
        r"|in a way)|both equally|both of them|equally both)(?:,? i (?:think|would say|suppose|guess|believe)|,? really"
        r"| for me|,? honestly| to be honest| in my view)*$"
    ),
    (
        rf"(?:the |my )?(?:truth|answer|right answer|best answer|reality|best (?:solution|approach|way|policy)|ideal"
        rf"|right (?:approach|balance|way)|real answer|honest answer|sweet spot|solution|correct answer)(?: to this"
        rf"| here)? {_ADV}(?:lies|is|sits|falls|is to be found|is found|rests|must be|may be|probably lies"
        rf"|can be found) {_ADV}(?:somewhere |right |likely )*(?:in between|in the middle|between (?:the two"
        rf"|these(?: two)?|them|both|those)(?: {_NOUN}| extremes| poles)*|a (?:mix|mixture|balance|combination|blend"
        rf"|bit) of (?:both|the two|each)|both|neither|in a (?:mix|balance)){_END}"
    ),
    (
        r"(?:i (?:think|would say|guess|suppose|believe|feel)(?: that)? )?(?:that|it|this|the answer|my answer"
        r"|which (?:one|is closer)(?: to my view)?|my view|my opinion) (?:really |all |very much |entirely |largely "
        r"|simply |just |always |of course |would |will |does )*depends?"
        r"(?: (?:on|upon) .*|,? really| a lot| entirely)?$"
    ),
    r"(?:well, )?depends(?: (?:on|upon) .*)?$",
    (
        r"(?:reasonable|thoughtful|good|sensible|smart|decent|honest|fair-minded|intelligent"
        r"|well-meaning) people (?:can |may |will |could |do )?(?:reasonably |honestly )?(?:disagree|differ"
        r"|land on either side|fall on both sides)(?: (?:on|about|here|over) .*| here)?$"
    ),
    (
        rf"i {_ADV}(?:am (?:fine|ok|okay|happy|comfortable) with|am open to|could live with|can live with"
        rf"|am good with) (?:either|both)(?: (?:one|of them|of these|{_NOUN}))?{_END}"
    ),
    (
        r"either (?:one |way |option |view )?(?:is|works|would be|suits me|will do)(?: just)?(?: fine| good| ok| okay"
        r"| for me| acceptable)*(?: (?:with|by|for) me)?$"
    ),
    (
        r"(?:they are|it is|i am) (?:pretty |roughly |about |more or less )?(?:equal|equally (?:close|balanced|good"
        r"|valid|right|far|divided|drawn to both|split)|evenly (?:matched|split|balanced|divided)|even|the same"
        r"|equidistant)(?: (?:to|for|from|in) .*)?$"
    ),
    (
        rf"{BOTH} {_ADV}(?:appeals?|speaks?|makes? sense|rings? true|resonates?|works?|convinces?|matters?|counts?"
        rf"|deserves? (?:a hearing|respect|consideration))(?: (?:to|for|with) me| me| equally| in (?:its"
        rf"|their) (?:own )?way| here)*$"
    ),
    (
        rf"i {_ADV}(?:see|understand|know|get) (?:where|why|how) {BOTH} (?:are|is|come|comes|think|hold|believe|might"
        rf"|may|can) ?.*$"
    ),
    (
        rf"i {_ADV}(?:see|understand|appreciate) both sides (?:of (?:the|this|that) (?:argument|debate|question|issue"
        rf"|coin|matter|story)|of (?:it|this))$"
    ),
    (
        r"(?:i (?:think|believe|would say|feel|guess|suppose)(?: that)? )?(?:a|the|some) (?:middle (?:way|ground|path"
        r"|course)|compromise|balance|mix|mixture|combination|blend|bit)(?: (?:between|of) (?:the two|both|them|these"
        r"|each))? (?:is|would be|seems|works|makes|might be|may be) (?:the )?(?:best|right|ideal|sensible|wisest"
        r"|better|good|what i .*|most sense|fair|needed)(?: .{0,15})?$"
    ),
    # Questions that take no side
    r"who am i to (?:say|judge|choose|decide|tell)\b.*\?$",
    (
        r"(?:is|must|why must|why should) (?:it|this) (?:really |always )?(?:have to |be )?(?:one or the other"
        r"|either[ -]or)\?$"
    ),
    (
        r"why (?:not|should (?:i|we|it)|choose|pick|do (?:i|we) have to|must (?:i|we)|would (?:i|we)|take)\b.*(?:both"
        r"|choose|pick|one or the other|either|sides?)?\?$"
    ),
    (
        r"(?:can|could|may|might|would|is it not possible that|is it possible that|who says)(?: not)? (?:they |we |i "
        r"|it )?(?:not )?(?:both|have both|each)(?: not)?(?: of (?:them|these))?(?: (?:be|have|are|hold|both be"
        r"|agree).*)?\?$"
    ),
    (
        rf"(?:is|are) (?:there |it )?(?:not )?(?:there )?(?:not )?{_ADJ}(?:{_MERIT}|both)(?: to be said)? (?:in|on|to"
        rf"|for|of) (?:both|each|either).*\?$"
    ),
    r"(?:are|is) (?:they |these |the two )?not (?:they |these |the two )?both .*\?$",
    r"(?:who (?:can|could|is to) (?:say|tell|judge|decide)(?: which.*)?|who is right)\?$",
    (
        r"(?:do|must|should|need) (?:i|we) (?:really )?(?:have to |need to )?(?:choose|pick|take sides"
        r"|decide)(?: (?:one|between|a side|sides|at all).*)?\?$"
    ),
    r"does it (?:really )?have to be (?:one or the other|either).*\?$",
    r"(?:both|neither|why not both)\?$",
]
