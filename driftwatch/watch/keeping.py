"""Keeping: what a run leaves in its folder beside its records, and what a resumed run needs of it."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from driftwatch.errors import BaselineError
from driftwatch.exporters.delivery import Expired, Line, Whole
from driftwatch.record.record import Record
from driftwatch.replies.pool import BaselineReply
from driftwatch.store.run_store import LookStances, RunStore
from driftwatch.watch.budget import Books
from driftwatch.watch.confirm import Saved
from driftwatch.watch.observation import Observation

KEPT_REPLIES = 200  # observations whose replies are kept, as what an alert rests on
EVIDENCE_FILE, BASELINE_REPLIES, RELIABILITY_FILE = "evidence.json", "baseline-replies.jsonl", "reliability.json"
EVIDENCE_BY_LOOK = "evidence.jsonl"  # the same after each observation
BUDGET_FILE = "budget.json"  # `Books` of the run, written anew at each start and observation


@dataclass(frozen=True, slots=True)
class KeptEvidence:
    """The evidence after one observation: what a branch from a checkpoint begins with."""

    look: int
    step: int
    attempt: int
    saved: Saved


def left_by(
    observation: Observation, attempt: int, saved: Saved | None, books: Books, *, keep_replies: bool
) -> Iterator[Line | Whole | Expired]:
    """What one observation leaves.

    Args:
        observation: The observation.
        attempt: Of the run.
        saved: The evidence after it; `None` in a run without replies.
        books: What the run has taken until now.
        keep_replies: Whether the replies themselves are kept.
    """
    yield Line("stances.jsonl", LookStances(observation.look, observation.step, attempt, observation.screened.stances))
    yield Whole(BUDGET_FILE, books)
    confirmed = observation.confirmed
    # Before the evidence, which says how many of them are used.
    for reply in () if confirmed is None else confirmed.drawn_ahead:
        yield Line(BASELINE_REPLIES, reply)
    if saved is not None and (confirmed is not None or observation.phase == "start"):
        yield Whole(EVIDENCE_FILE, saved)
        yield Line(EVIDENCE_BY_LOOK, KeptEvidence(observation.look, observation.step, attempt, saved))
    if confirmed is not None and keep_replies:
        for pair in confirmed.pairs:
            yield Line(replies_file(observation.look), pair)
        yield Expired(replies_file(observation.look - KEPT_REPLIES))


def kept_books(store: RunStore) -> Books:
    """What a run that goes on has taken until now; nothing where that was not kept or cannot be read."""
    try:
        return msgspec.json.decode((store.folder / BUDGET_FILE).read_bytes(), type=Books)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return Books()  # a run of an older driftwatch; it gets its budget once more, which is no reason to stop it


def kept_evidence(store: RunStore) -> tuple[Saved, list[BaselineReply]]:
    """The evidence that a resumed run goes on from, and the baseline's replies that were drawn before training.

    Raises:
        BaselineError: They are gone, or of another version.
    """
    path = store.folder / EVIDENCE_FILE
    if not path.is_file():
        raise BaselineError(f"expected the run's evidence in {path}, and it is gone; begin a run of another name.")
    try:
        pool = [msgspec.json.decode(line, type=BaselineReply) for line in store.lines(BASELINE_REPLIES)]
        return msgspec.json.decode(path.read_bytes(), type=Saved), pool
    except (msgspec.DecodeError, msgspec.ValidationError) as err:
        raise BaselineError(
            f"expected evidence of this driftwatch in {store.folder}, found that of another ({err}); go on with the "
            "version that began the run, or begin a run of another name."
        ) from err


def evidence_at(store: RunStore, looks: Sequence[Record]) -> Saved | None:
    """The evidence after the last of some observations of a run, or `None` where it was not kept.

    Args:
        store: The run.
        looks: The first ones of the run, oldest first, as a checkpoint has them.
    """
    known = {(record.look, record.attempt) for record in looks}
    found: Saved | None = None
    for kept in store.values(EVIDENCE_BY_LOOK, msgspec.json.Decoder(KeptEvidence).decode):
        if (kept.look, kept.attempt) in known:
            found = kept.saved
    if found is None and len(known) == len(store.records(superseded=True)):  # a run of an older driftwatch
        with contextlib.suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):
            found = msgspec.json.decode((store.folder / EVIDENCE_FILE).read_bytes(), type=Saved)
    return found


def replies_file(look: int) -> str:
    """Where the replies of an observation are kept, in the run's folder."""
    return f"replies/{look:06d}.jsonl"
