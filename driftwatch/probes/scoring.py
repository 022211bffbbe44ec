"""Log-likelihood of many continuations of many prompts.

Letters in names of tensors: B rows of a batch, T tokens of a row, K positions whose logits are kept, V vocabulary.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray


class Request(NamedTuple):
    """One prompt and what may follow it.

    Attributes:
        prompt: Token ids, at least one.
        continuations: Token ids of each continuation, each at least one.
    """

    prompt: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]


class Scored(NamedTuple):
    """What `score` found.

    Attributes:
        log_likelihoods: For each request, float64 of shape (continuations,): natural log of the probability of the
            whole continuation after the prompt; nan where the model's logits were not finite.
        tokens_computed: Token positions that went through the model, padding included.
    """

    log_likelihoods: list[NDArray[np.float64]]
    tokens_computed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Which tokens go through the model together; fixed for the life of a baseline."""

    requests: tuple[Request, ...]
    batches: tuple[tuple[tuple[int, int], ...], ...]  # (request, continuation)
    path: str
    tokens_naive: int
    tokens_unique: int
    tokens_computed: int
    digest: str


def plan(requests: Sequence[Request], model: Any, *, max_tokens: int = 4096) -> Plan:
    """Fix the composition of the batches."""
    rows = [(r, c) for r, request in enumerate(requests) for c in range(len(request.continuations))]

    def length(row: tuple[int, int]) -> int:
        request = requests[row[0]]
        return len(request.prompt) + len(request.continuations[row[1]]) - 1

    rows.sort(key=length, reverse=True)
    batches = []
    while rows:
        size = max(1, max_tokens // length(rows[0]))
        batches.append(tuple(rows[:size]))
        rows = rows[size:]
    prefixes = {
        (r.prompt + c)[:end] for r in requests for c in r.continuations for end in range(1, len(r.prompt) + len(c))
    }
    return Plan(
        requests=tuple(requests),
        batches=tuple(batches),
        path="plain",
        tokens_naive=sum(length(row) for batch in batches for row in batch),
        tokens_unique=len(prefixes),
        tokens_computed=sum(length(batch[0]) * len(batch) for batch in batches),
        digest=hashlib.sha256(repr((requests, batches)).encode()).hexdigest()[:16],
    )


def score(model: Any, plan: Plan) -> Scored:
    """Log-likelihood of every continuation of every request."""
    found = [np.full(len(r.continuations), np.nan) for r in plan.requests]
    device = next(model.parameters()).device
    values = []
    with torch.no_grad():
        for batch in plan.batches:
            sequences = [plan.requests[r].prompt + plan.requests[r].continuations[c] for r, c in batch]
            width = max(map(len, sequences)) - 1
            ids_BT = torch.zeros((len(batch), width), dtype=torch.long)
            mask_BT = torch.zeros((len(batch), width), dtype=torch.long)
            for i, sequence in enumerate(sequences):
                ids_BT[i, : len(sequence) - 1] = torch.tensor(sequence[:-1])
                mask_BT[i, : len(sequence) - 1] = 1
            logits_BTV = model(input_ids=ids_BT.to(device), attention_mask=mask_BT.to(device), use_cache=False).logits
            for i, (r, _) in enumerate(batch):
                start = len(plan.requests[r].prompt) - 1
                targets = torch.tensor(sequences[i][start + 1 :], device=device)
                logits = logits_BTV[i, start : len(sequences[i]) - 1].float()
                picked = logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(1)
                values.append(picked.sum())
    rows = [row for batch in plan.batches for row in batch]
    for (r, c), value in zip(rows, torch.stack(values).cpu().numpy().astype(np.float64), strict=True):
        found[r][c] = value if np.isfinite(value) else np.nan
    return Scored(found, plan.tokens_computed)
