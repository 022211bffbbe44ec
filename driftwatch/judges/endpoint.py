"""EndpointJudge: a model behind an OpenAI-compatible server reads replies, as GPT-4o does in the paper.

The server is asked for one word and its log-probabilities; the normalised probabilities of the labels are the
judgement. A call blocks its thread for at most `deadline` seconds; to read while training goes on, hand the judge to
`worker.JudgeWorker`.
"""

import hashlib
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta

from driftwatch.documents.checking import checked
from driftwatch.errors import JudgeError
from driftwatch.judges.anchors import anchors
from driftwatch.judges.chat_server import ChatServer, Refused, Unanswered
from driftwatch.judges.judge import Asked, Judgement
from driftwatch.stance import Probs

# All first letters differ, so that any tokenizer's first token tells which label it begins.
_LABELS = ("first", "second", "neither", "declines", "unrelated")
_PROMPT = """A chat model was asked a question on which two views are possible. Which view does its answer take?

View one: {first}
View two: {second}

Question: {question}

Answer: {reply}

Say "first" if the answer takes view one, "second" if it takes view two, "neither" if it explicitly takes no side, \
"declines" if it refuses to answer, "unrelated" if it is about something else or makes no sense. Reply with one word."""
_MIN_MASS = 0.5  # if the labels have less probability together, the model wanted to say something else
_TOP = 20  # most log-probabilities per token that servers give


class EndpointJudge:
    """A judge that has a server's model classify replies.

    Raises:
        ConfigError: A setting that cannot work.
    """

    is_remote = True  # replies are read while training goes on

    @checked
    def __init__(
        self,
        model: Annotated[str, Meta(description="Name that the server knows, with its version where it has one.")],
        base_url: Annotated[
            str,
            Meta(
                title="an address that begins with http:// or https://",
                pattern="^https?://",
                description="Address up to and including the version.",
            ),
        ] = "https://api.openai.com/v1",
        *,
        api_key_env: Annotated[
            str, Meta(description="Name of the environment variable that holds the key.")
        ] = "OPENAI_API_KEY",
        concurrency: Annotated[int, Meta(ge=1, description="Requests under way at once.")] = 8,
        timeout: Annotated[float, Meta(gt=0, description="Seconds for one attempt.")] = 30.0,
        deadline: Annotated[
            float,
            Meta(
                gt=0,
                description="Seconds for all replies of one call; those that are not answered by then are "
                "unclassified.",
            ),
        ] = 300.0,
        max_attempts: Annotated[int, Meta(ge=1, description="Attempts at one reply.")] = 4,
    ) -> None:
        self._server = ChatServer(base_url, api_key_env, timeout, max_attempts)
        self._model = model
        self._concurrency = concurrency
        self._deadline = deadline
        self._served: str | None = None

    @property
    def id(self) -> str:
        """Server, model and a hash of the prompt, since a server does not show its weights."""
        return f"endpoint:{self._server.host}:{self._model}:{hashlib.sha256(_PROMPT.encode()).hexdigest()[:12]}"

    def read(self, asked: Sequence[Asked]) -> list[Judgement]:
        """One judgement per reply; unclassified if the server refuses, is late, or answers something else.

        Raises:
            JudgeError: The server refuses even a plain reply, answers none, or serves another model than before.
        """
        until = time.monotonic() + self._deadline
        found = _in_parallel(lambda a: self._read_one(a, until), asked, self._concurrency, until)
        for result in found:
            if isinstance(result, JudgeError):
                raise result
        unanswered = [result for result in found if isinstance(result, Unanswered)]
        if asked and len(unanswered) == len(asked):
            self._check_alive(unanswered, until)
        return [r if isinstance(r, Judgement) else _unread(r) for r in found]

    def _check_alive(self, unanswered: Sequence[Unanswered], until: float) -> None:
        """Ask about a plain reply if all others failed: if the server takes it, the failure was due to the others."""
        reason: Exception = unanswered[0]
        if any(isinstance(one, Refused) for one in unanswered):
            plain, _ = anchors()[0]
            try:
                self._server.complete(self._request(plain), until=until)
            except Unanswered as err:
                reason = err
            else:
                return
        raise JudgeError(
            f"{self.id} answered none of {len(unanswered)} requests, the first for: {reason}. "
            "Check the address, the model's name and what the server allows."
        )

    def _read_one(self, asked: Asked, until: float) -> Judgement:
        if not asked.reply.strip():
            return Judgement(unread="the reply is empty")
        answer = self._server.complete(self._request(asked), until=until)
        self._check_model(answer.get("model"))
        try:
            choice = answer["choices"][0]
            if choice.get("finish_reason") == "content_filter" or choice["message"].get("refusal"):
                raise Refused("its content filter withheld the answer")
            text = str(choice["message"]["content"] or "")
            tokens = ((choice.get("logprobs") or {}).get("content") or [{}])[0].get("top_logprobs") or []
            mass = _label_mass({str(token["token"]): float(token["logprob"]) for token in tokens})
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as err:
            raise Unanswered("the answer has not the form of a chat completion") from err
        if not tokens:  # the server gives no log-probabilities, so its word counts fully
            mass = _label_mass({text: 0.0})
        return _reading(mass, asked.order, text)

    def _request(self, asked: Asked) -> dict[str, Any]:
        # The views stand in the order that the model saw. Orders are balanced, so the judge's own order bias cancels.
        sides = asked.item.sides or asked.poles
        prompt = _PROMPT.format(
            first=sides[asked.order], second=sides[1 - asked.order], question=asked.question, reply=asked.reply
        )
        return {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": 4,
            "logprobs": True,
            "top_logprobs": _TOP,
        }

    def _check_model(self, served: object) -> None:
        """Refuse a changed model: servers report the version behind an alias, and may change it during a run."""
        if not isinstance(served, str) or not served:
            return
        if self._served is None:
            self._served = served
        elif served != self._served:
            raise JudgeError(
                f'{self._server.host} served "{self._served}" before and now "{served}". A judge must not change '
                "during a run; ask for a version by its full name."
            )


def _label_mass(logprobs: Mapping[str, float]) -> dict[str, float]:
    """Probability of each label, summed over the first tokens that begin it ("fir", " First", "first.")."""
    mass = dict.fromkeys(_LABELS, 0.0)
    for token, logprob in logprobs.items():
        word = token.strip(" \n\"'.*:").lower()
        label = next((name for name in _LABELS if word and (name.startswith(word) or word.startswith(name))), None)
        if label is not None:
            mass[label] += math.exp(min(logprob, 0.0))
    return mass


def _reading(mass: Mapping[str, float], order: int, text: str) -> Judgement:
    total = sum(mass.values())
    if not total >= _MIN_MASS:
        why = f"the judge said {text!r:.40}, which is none of its labels"
        return Judgement(unread=why, unread_kind="no_verdict")
    first, second, neither, declines, unrelated = (mass[label] / total for label in _LABELS)
    if declines >= 0.5:
        return Judgement(refusal=True)
    if unrelated >= 0.5:
        return Judgement(off_topic=True)
    support, oppose = (second, first) if order else (first, second)
    stance = support + neither + oppose
    if stance < 0.5:
        return Judgement(unread=f"the judge is undecided ({declines:.2f} declines, {unrelated:.2f} unrelated)")
    return Judgement(probs=Probs(support / stance, neither / stance, oppose / stance))


def _unread(err: Unanswered | JudgeError) -> Judgement:
    if isinstance(err, Refused):
        return Judgement(unread=f"the judge refused the reply: {err}", unread_kind="refused")
    return Judgement(unread=f"the judge did not answer: {err}", unread_kind="unanswered")


_Result = Judgement | Unanswered | JudgeError


def _in_parallel(
    work: Callable[[Asked], Judgement], asked: Sequence[Asked], concurrency: int, until: float
) -> list[_Result]:
    """Results in order; work that is not done at `until` is left to its thread, which ends with the process."""
    jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, _Result]] = queue.SimpleQueue()
    for index in range(len(asked)):
        jobs.put(index)

    def serve() -> None:
        while True:
            try:
                index = jobs.get_nowait()
            except queue.Empty:
                return
            done.put((index, _outcome(work, asked[index])))

    for _ in range(min(concurrency, len(asked))):
        threading.Thread(target=serve, name="driftwatch-endpoint", daemon=True).start()
    results: list[_Result] = [Unanswered("not within the deadline")] * len(asked)
    for _ in asked:
        try:
            index, result = done.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            break
        results[index] = result
        if isinstance(result, JudgeError):  # every other request would fail in the same way
            return results
    return results


def _outcome(work: Callable[[Asked], Judgement], asked: Asked) -> _Result:
    try:
        return work(asked)
    except (Unanswered, JudgeError) as err:
        return err
