"""Keeping: the files that a run leaves in its folder beside its records, and how a resumed run reads them."""

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

KEPT_REPLIES = 200  # observations whose replies are kept, to show what an alert rests on
EVIDENCE_FILE, BASELINE_REPLIES, RELIABILITY_FILE = "evidence.json", "baseline-replies.jsonl", "reliability.json"
EVIDENCE_BY_LOOK = "evidence.jsonl"  # the evidence after each observation, one per line
BUDGET_FILE = "budget.json"  # the run's `Books`, rewritten at each start and observation


@dataclass(frozen=True, slots=True)
class KeptEvidence:
    """The evidence after one observation, with which a branch from a checkpoint begins."""

    look: int
    step: int
    attempt: int
    saved: Saved


def left_by(
    observation: Observation, attempt: int, saved: Saved | None, books: Books, *, keep_replies: bool
) -> Iterator[Line | Whole | Expired]:
    """The lines and files that one observation leaves.

    Args:
        observation: The observation.
        attempt: The run's attempt number.
        saved: The evidence after the observation; `None` in a run without replies.
        books: The time that the run has taken so far.
        keep_replies: Whether the replies themselves are kept.
    """
    yield Line("stances.jsonl", LookStances(observation.look, observation.step, attempt, observation.screened.stances))
    yield Whole(BUDGET_FILE, books)
    confirmed = observation.confirmed
    # Written before the evidence, which says how many of these replies are used.
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
    """The time that a resumed run has taken so far; empty if it was not kept or cannot be read."""
    try:
        return msgspec.json.decode((store.folder / BUDGET_FILE).read_bytes(), type=Books)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return Books()  # a run of an older driftwatch; it gets its budget once more, which is no reason to stop it


def kept_evidence(store: RunStore) -> tuple[Saved, list[BaselineReply]]:
    """The evidence that a resumed run goes on from, and the baseline's replies that were decoded before training.

    Raises:
        BaselineError: They are gone, or another version wrote them.
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
    """The evidence after the last of some observations of a run; `None` if it was not kept.

    Args:
        store: The run's files.
        looks: The run's observations up to a checkpoint, oldest first.
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
    """The path of the file with an observation's replies, relative to the run's folder."""
    return f"replies/{look:06d}.jsonl"
