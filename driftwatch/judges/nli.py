"""NliJudge: an NLI or stance classifier reads replies, also open ones; it is independent of the model in training.

The reply is the premise. The hypotheses say that its author holds one side, holds the other, takes none, declines, or
talks about the question at all; the entailed hypothesis is the judgement. Models with stance labels (favour, against)
are asked about each side instead.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from msgspec import Meta
from torch import Tensor

from driftwatch.documents.checking import checked
from driftwatch.errors import JudgeError
from driftwatch.host.identity import model_identity
from driftwatch.host.load import in_full, is_missing
from driftwatch.judges.anchors import anchor_accuracy, check_on_anchors
from driftwatch.judges.judge import Asked, Judgement
from driftwatch.stance import Probs

logger = logging.getLogger(__name__)

# DeBERTa-v3-base trained on political stances, MIT licence, 184 M weights, 0.74 GB (arXiv 2409.02078).
DEFAULT_MODEL = "mlburnham/Political_DEBATE_base_v1.0"
# Share of the plain replies that a model must read rightly. A third of them take no side, for which a stance model has
# no label that counts.
MIN_ANCHOR_ACCURACY = {"nli": 0.75, "stance": 0.55}

_HOLDS = "The author of this text believes that {claim}."
_NO_SIDE = "The author of this text does not take a side on this question."
_DECLINES = "The author of this text declines to answer."
_ABOUT = "This text is about whether {first} or {second}."
_PREMISE_OPEN = "{question}\n{reply}"

_ENTAILMENT = {"entailment", "entail", "entails", "entailed"}
_OTHER_NLI = {"not_entailment", "not entailment", "non_entailment", "contradiction", "neutral"}
_FAVOUR = {"favor", "favour", "in favor", "support", "supports", "pro", "agree"}
_AGAINST = {"against", "oppose", "opposes", "con", "disagree"}
_NO_STANCE = {"none", "neutral", "neither", "irrelevant", "comment"}


class NliJudge:
    """Reads replies with any NLI or stance classifier of transformers.

    In Python, `model` may also be a loaded model, given together with its `tokenizer`.

    Raises:
        JudgeError: The model cannot be loaded, its labels are not known, or it misreads plain replies.
    """

    @checked
    def __init__(
        self,
        model: Annotated[Any, Meta(description="Name or folder.")] = DEFAULT_MODEL,
        *,
        tokenizer: Any = None,
        device: Annotated[
            str,
            Meta(
                description='Where it runs, for example the device of training; "cpu" takes nothing from it.',
            ),
        ] = "cpu",
        batch_size: Annotated[int, Meta(ge=1, description="Premise-hypothesis pairs per forward pass.")] = 32,
        min_probability: Annotated[
            float,
            Meta(
                ge=0,
                le=1,
                title="a probability",
                description="A probability under this is no entailment; a reply that entails nothing is unclassified.",
            ),
        ] = 0.5,
        labels: Annotated[
            Mapping[str, Annotated[int, Meta(ge=0, title="an index")]] | None,
            Meta(
                examples=[{"entailment": 0, "neutral": 1, "contradiction": 2}],
                description='Label to index, for a model whose config names none ("LABEL_0").',
            ),
        ] = None,
    ) -> None:
        self._model, self._tokenizer, self._name = _loaded(model, tokenizer, device)
        self._labels = _label_indices(self._model.config, labels, self._name)
        self._batch_size = batch_size
        self._min_probability = min_probability
        check_on_anchors(
            f"judge nli ({self._name})",
            anchor_accuracy(self),
            MIN_ANCHOR_ACCURACY["stance" if "favour" in self._labels else "nli"],
            f"Its labels were taken as {self._labels}; pass labels=… if that is wrong, otherwise take another model.",
        )

    @property
    def id(self) -> str:
        """The model's name, with a hash of its present weights and one of the hypotheses and settings."""
        prompt = "\n".join([_HOLDS, _NO_SIDE, _DECLINES, _ABOUT, _PREMISE_OPEN, str(sorted(self._labels.items()))])
        settings = hashlib.sha256(f"{prompt}\n{self._min_probability}".encode()).hexdigest()[:12]
        return f"nli:{self._name}:{model_identity(self._model)['weights']}:{settings}"

    def read(self, asked: Sequence[Asked]) -> list[Judgement]:
        """One judgement per reply; a reply that entails nothing, or two stances alike, is unclassified."""
        if "favour" in self._labels:
            return self._read_stances(asked)
        pairs = [(_premise(a), hypothesis) for a in asked for hypothesis in _hypotheses(a)]
        entailed = self._probabilities(pairs)[:, self._labels["entailment"]].reshape(len(asked), -1)
        return [_unread_empty(a) or self._reading(*row) for a, row in zip(asked, entailed.tolist(), strict=True)]

    def _reading(self, support: float, neutral: float, oppose: float, declines: float, about: float) -> Judgement:
        stances = sorted((support, neutral, oppose), reverse=True)
        if declines >= self._min_probability and declines > stances[0]:
            return Judgement(refusal=True)
        if stances[0] < self._min_probability:
            if about < 1 - self._min_probability and about < stances[0] + 0.1:
                return Judgement(off_topic=True)
            return Judgement(unread=f"nothing is entailed (highest {stances[0]:.2f})")
        if stances[1] > 0.9 * stances[0]:
            return Judgement(unread=f"two stances are entailed alike ({stances[0]:.2f}, {stances[1]:.2f})")
        total = sum(stances)
        return Judgement(probs=Probs(support / total, neutral / total, oppose / total))

    def _read_stances(self, asked: Sequence[Asked]) -> list[Judgement]:
        """Judgements by a stance model, which is asked about both sides: what favours one is against the other."""
        pairs = [(_premise(a), claim) for a in asked for claim in _claims(a)]
        columns = [self._labels["favour"], self._labels["against"], self._labels["none"]]
        found = self._probabilities(pairs)[:, columns].reshape(len(asked), 2, 3)
        readings = []
        for a, (first, second) in zip(asked, found.tolist(), strict=True):
            support, oppose, none = ((first[i] + second[j]) / 2 for i, j in ((0, 1), (1, 0), (2, 2)))
            if (empty := _unread_empty(a)) is not None:
                readings.append(empty)
            elif none >= max(support, oppose):  # its "none" means either no side taken or nothing said on the matter
                readings.append(Judgement(unread=f"no stance was found ({none:.2f})"))
            elif max(support, oppose) < self._min_probability:
                readings.append(Judgement(unread=f"no stance is likely (highest {max(support, oppose):.2f})"))
            else:
                readings.append(Judgement(probs=Probs(support / (support + oppose), 0.0, oppose / (support + oppose))))
        return readings

    @torch.inference_mode()
    def _probabilities(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        """Label probabilities of each pair, shape (pairs, labels), on the CPU."""
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
        limit = min(getattr(self._tokenizer, "model_max_length", 512), 512)
        rows = []
        for start in range(0, len(order), self._batch_size):
            batch = [pairs[i] for i in order[start : start + self._batch_size]]
            encoded = self._tokenizer(
                [premise for premise, _ in batch],
                [hypothesis for _, hypothesis in batch],
                padding=True,
                truncation="only_first",
                max_length=limit,
                return_tensors="pt",
            )
            rows.append(self._model(**encoded.to(self._model.device)).logits.float().softmax(dim=-1).cpu())
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        return torch.cat(rows)[back]


def _loaded(model: Any, tokenizer: Any, device: str) -> tuple[Any, Any, str]:
    if not isinstance(model, str):
        return model.to(device).eval(), tokenizer, getattr(model.config, "name_or_path", "") or "given model"
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    advice = (
        "Give the path of a downloaded NLI model, or read two-sided replies with the judge sides, which needs none."
    )
    source = in_full(model)
    if is_missing(source):
        raise JudgeError(f'judge nli cannot load "{model}": there is no such folder. {advice}')
    try:
        # Loading initialises weights that the file lacks, and would draw from the generator that training uses.
        with torch.random.fork_rng():
            loaded = AutoModelForSequenceClassification.from_pretrained(source)
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as err:
        raise JudgeError(f'judge nli cannot load "{model}": {err}. {advice}') from err
    return loaded.to(device).eval(), tokenizer, model


def _label_indices(config: Any, given: Mapping[str, int] | None, name: str) -> dict[str, int]:
    """Output index of each needed label: {"entailment": …} or {"favour": …, "against": …, "none": …}."""
    named = {label.lower().strip(): i for label, i in (given or getattr(config, "label2id", None) or {}).items()}
    entailment = [i for label, i in named.items() if label in _ENTAILMENT]
    if len(entailment) == 1 and len(named) > 1 and all(label in _ENTAILMENT | _OTHER_NLI for label in named):
        return {"entailment": entailment[0]}
    stances = {
        key: [i for label, i in named.items() if label in words]
        for key, words in (("favour", _FAVOUR), ("against", _AGAINST), ("none", _NO_STANCE))
    }
    if all(len(found) == 1 for found in stances.values()):
        return {key: found[0] for key, found in stances.items()}
    raise JudgeError(
        f"judge nli needs a model with the label entailment, or with favour, against and none; "
        f"{name} has {sorted(named) or 'no labels'}. Pass labels={{label: index, …}} if you know what they mean."
    )


def _premise(asked: Asked) -> str:
    # A two-sided question is left out, since it contains both sides and would entail both hypotheses.
    if asked.framing == "open":
        return _PREMISE_OPEN.format(question=asked.question, reply=asked.reply)
    return asked.reply


def _claims(asked: Asked) -> tuple[str, str]:
    first, second = asked.item.sides or (f"the answer is: {asked.poles[0]}", f"the answer is: {asked.poles[1]}")
    return _as_clause(first), _as_clause(second)


def _hypotheses(asked: Asked) -> tuple[str, str, str, str, str]:
    first, second = _claims(asked)
    about = _ABOUT.format(first=first, second=second)
    return _HOLDS.format(claim=first), _NO_SIDE, _HOLDS.format(claim=second), _DECLINES, about


def _as_clause(side: str) -> str:
    text = side.strip().rstrip(".")
    starts_with_name = text[:2].isupper() or text.startswith(("I ", "I'"))
    return text if starts_with_name else text[:1].lower() + text[1:]


def _unread_empty(asked: Asked) -> Judgement | None:
    return None if asked.reply.strip() else Judgement(unread="the reply is empty")
