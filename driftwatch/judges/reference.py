"""ReferenceJudge: the baseline model itself reads replies, as a prompted classifier by the likelihood of options.

It is frozen and costs no memory, since adapters are switched off for it. But it is biased toward what it would have
written itself, the more so the further the policy moves. Only models that read plain replies rightly are admitted: on
300 open replies to claims that it had not seen, SmolLM2-135M chose the right one of three stances for a share of 0.33
to 0.43.
"""

import hashlib
import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.chat.format import ChatFormat
from driftwatch.errors import JudgeError
from driftwatch.judges.anchors import anchors, check_on_anchors, share_right
from driftwatch.judges.judge import Asked, Judgement
from driftwatch.judges.phrases import is_refusal
from driftwatch.scoring.plan import MAX_TOKENS
from driftwatch.scoring.score import Request, plan, score
from driftwatch.stance import Probs

MIN_ANCHOR_ACCURACY = 0.6  # share of 24 plain replies read rightly; guessing reaches it once in 400 times
_SAME = 0.02  # tolerated difference of a probability: bfloat16 kernels differ by less, and training soon by more
_PROMPT = """Somebody was asked a question, and answered it.

Question: {question}
Answer: {reply}

Which of these is true of the answer?
{options}"""
_NEUTRAL = "It takes no side."
_HOLDS = "It takes this side: {side}"
_ORDERS = tuple(itertools.permutations(range(3)))


class ReferenceJudge:
    """Reads replies with the model that the run began with. Call it inside the guard.

    Args:
        baseline: Makes the baseline model active and yields it, for example with adapters off.
        tokenizer: The model's tokenizer.
        weights: The fingerprint of the baseline's weights from its identity.
        min_probability: A reply is unclassified if no stance has at least this probability.
        max_tokens: Upper bound of the tokens in one forward pass.
    """

    def __init__(
        self,
        baseline: Callable[[], AbstractContextManager[Any]],
        tokenizer: Any,
        *,
        weights: str = "unnamed",
        min_probability: float = 0.5,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        self._baseline = baseline
        self._format = ChatFormat(tokenizer)
        self._min_probability = min_probability
        self._max_tokens = max_tokens
        self._first: NDArray[np.float64] | None = None
        # The source of the template is left out: if the tokens are the same, so is the judge.
        tokens = {part: value for part, value in self._format.identity().items() if part != "template_source"}
        prompt = f"{_PROMPT}{_NEUTRAL}{_HOLDS}{min_probability}{tokens}"
        self.id = f"reference:{weights}:{hashlib.sha256(prompt.encode()).hexdigest()[:12]}"

    def check(self) -> float:
        """Share of plain replies that the model reads rightly; keeps its probabilities to recognise the model by.

        Raises:
            JudgeError: The share is too close to guessing, so the model is too small to judge.
        """
        known = anchors()
        accuracy = share_right(known, self._readings([asked for asked, _ in known]))
        check_on_anchors(
            "judge reference (the baseline model)",
            accuracy,
            MIN_ANCHOR_ACCURACY,
            "The model is too small for this; read two-sided replies with the judge sides, open ones with nli.",
        )
        self._first = self._of_anchors()
        return accuracy

    def read(self, asked: Sequence[Asked]) -> list[Judgement]:
        """One judgement per reply; the first call checks the model on plain replies.

        Raises:
            JudgeError: The model misreads those, or is not the same as at the first call.
        """
        if self._first is None:
            self.check()
        elif not np.allclose(self._first, self._of_anchors(), atol=_SAME):
            raise JudgeError(
                "the baseline model reads plain replies otherwise than at its first call, so it is no longer the one "
                "that judged before; its readings cannot be compared."
            )
        return self._readings(asked)

    def _of_anchors(self) -> NDArray[np.float64]:
        return np.array(self._probabilities([asked for asked, _ in anchors()[:3]]))

    def _readings(self, asked: Sequence[Asked]) -> list[Judgement]:
        answered = [a for a in asked if a.reply.strip() and not is_refusal(a.reply)]
        probs = dict(zip(map(id, answered), self._probabilities(answered), strict=True)) if answered else {}
        readings = []
        for a in asked:
            if not a.reply.strip():
                readings.append(Judgement(unread="the reply is empty"))
            elif (found := probs.get(id(a))) is None:
                readings.append(Judgement(refusal=True))
            elif not np.isfinite(found).all():
                readings.append(Judgement(unread="the likelihoods are not finite"))
            elif found.max() < self._min_probability:
                readings.append(Judgement(unread=f"no stance is likely (highest {found.max():.2f})"))
            else:
                readings.append(Judgement(probs=Probs(*found.tolist())))
        return readings

    def _probabilities(self, asked: Sequence[Asked]) -> list[NDArray[np.float64]]:
        """P(support, neutral, oppose) of each reply, from each option's mean log-likelihood over all orders of them."""
        requests = [request for a in asked for request in self._requests(a)]
        with self._baseline() as model:
            found = score(model, plan(requests, model, max_tokens=self._max_tokens)).log_likelihoods
        scores = np.array(found).reshape(len(asked), len(_ORDERS), 3).mean(axis=1)
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return list(odds / odds.sum(axis=1, keepdims=True))

    def _requests(self, asked: Asked) -> list[Request]:
        encoded = self._format.encode_pairs([(_prompt(asked, order), _options(asked)) for order in _ORDERS])
        return [Request(one.prompt, one.answers) for one in encoded]


def _options(asked: Asked) -> tuple[str, str, str]:
    first, second = asked.item.sides or asked.poles
    return _HOLDS.format(side=first), _NEUTRAL, _HOLDS.format(side=second)


def _prompt(asked: Asked, order: tuple[int, ...]) -> str:
    options = _options(asked)
    listed = "\n".join(f"- {options[i]}" for i in order)
    return _PROMPT.format(question=asked.question, reply=asked.reply, options=listed)
