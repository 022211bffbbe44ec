"""Baselines: what a run compares with, where it comes from, and whether it may be compared at all.

- `start`: this run's first observation.
- `sft`: the model that SFT left. It comes from a folder (an SFT run, or what `driftwatch baseline` wrote), or from the
  model in training itself, by switching its adapters.

Alerts rest on replies. If replies are drawn, alerts therefore rest on a baseline that can be asked for them: the start,
or an SFT model that the run starts from or reaches by switching adapters. Prior and temperature of the screen are
frozen here, together with the baseline that alerts rest on.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from driftwatch.drift.calibration import Calibration, calibrated, fit_prior
from driftwatch.drift.compare import BaselineName, Drift, compare
from driftwatch.drift.floor import Floor, exceeds, numeric_floor
from driftwatch.drift.validity import Tally, Validity
from driftwatch.errors import BaselineError, ConfigError, StoreError
from driftwatch.host.adapters import NATIVE, Reference, find_reference, has_learned_nothing
from driftwatch.host.identity import PARTS, check_comparable, is_rounding, rounding_moved, same_model
from driftwatch.stance import Stance
from driftwatch.store.run_store import Baseline, Labels, RunStore
from driftwatch.topics import TopicPack

if TYPE_CHECKING:
    from driftwatch.watch.instrument import Instrument

logger = logging.getLogger(__name__)

FILE = "baseline.json"  # what `driftwatch baseline` writes; the folder of a run has records instead
REPLIES = "confirm"  # prefix of what a run's identity says about its replies
# Share of a topic's items scored at the start; an observation that scores fewer of them is no baseline. Chosen.
ANSWERED = 0.9
# Nats per token: merging a trained adapter into bfloat16 weights moved topics by up to 0.006 in the demo.
MERGED = 0.02
WITHOUT_REPLIES = (
    'alerts shall rest on replies of the baseline "sft", and replies can be drawn of the start only, since {}. Start '
    'from that model, leave alerting_baseline out (alerts then rest on "start"), or watch without replies '
    "(confirm=None)."
)
ON_THE_START = (
    '. Replies can be drawn of the start only, so alerts rest on "start" and only the screen is compared with "sft". '
    'To have alerts rest on "sft", start from that model'
)


@dataclass(frozen=True, slots=True)
class Baselines:
    """What every observation of a run is compared with.

    Attributes:
        known: The baselines by name: always "start", and "sft" if there is one.
        alerting: Name of the baseline that alerts rest on.
        calibration: Frozen calibration of the screen; `None` if no probe gives scores.
        floors: Numeric noise floors, one per probe.
        reference: How the model that alerts rest on can be reached inside the model in training; `None` if it
            cannot.
        labels: Judged replies of that model from before this run, judged in the same way as in this run; `None` if
            there are none.
        notes: Sentences for the reader of the run.
        moved: For a run that goes on: parts of the identity that affect rounding and have changed since it began, each
            with its value then and now.
    """

    known: dict[BaselineName, Baseline]
    alerting: BaselineName
    calibration: Calibration | None
    floors: tuple[Floor, ...] = ()
    reference: Reference | None = None
    labels: Labels | None = None
    notes: tuple[str, ...] = ()
    moved: dict[str, tuple[str, str]] = field(default_factory=dict)

    def stances(self, name: BaselineName) -> list[Stance]:
        """A baseline's stances, calibrated like those of every observation."""
        return self.calibrated(self.known[name].stances)

    @property
    def heard(self) -> Tally:
        """Counts of the alerting baseline's judged replies from before this run."""
        return {} if self.labels is None else self.labels.counts

    @property
    def validity(self) -> tuple[Validity, ...]:
        """Whether each probe of the screen agrees with those replies."""
        return () if self.labels is None else self.labels.validity

    def calibrated(self, stances: Sequence[Stance]) -> list[Stance]:
        """The same stances with probabilities, by the frozen prior and temperature."""
        return list(stances) if self.calibration is None else calibrated(stances, self.calibration)


def load_baseline(folder: str | Path) -> Baseline:
    """The SFT model's stances from a folder.

    Args:
        folder: What `driftwatch baseline` wrote, or the folder of an SFT run, whose last whole observation counts.

    Raises:
        BaselineError: The folder holds no baseline, or an incomplete one.
    """
    path = Path(folder)
    if (path / FILE).is_file():
        try:
            return msgspec.json.decode((path / FILE).read_bytes(), type=Baseline)
        except (msgspec.DecodeError, msgspec.ValidationError) as err:
            raise BaselineError(
                f"expected a whole baseline in {path / FILE}; found a half-written or foreign one ({err}). "
                "Make it again: driftwatch baseline MODEL --pack PACK --out DIR."
            ) from err
    store = RunStore(path)
    if not store.exists:
        raise BaselineError(
            f"expected a baseline ({FILE}) or the folder of an SFT run (run.json) in {path}; found neither. "
            "Make one with: driftwatch baseline MODEL --pack PACK --out DIR."
        )
    return _last_whole_look(store)


def baseline_for(pack: TopicPack, folder: str | Path) -> Baseline:
    """Like `load_baseline`, checked against a pack; whether probes and templates fit is known only with a model.

    Raises:
        BaselineError: The folder holds no baseline, an incomplete one, or one of another pack.
    """
    found = load_baseline(folder)
    check_comparable(found.identity, {"pack": pack.digest}, whose=f"in {folder}")
    return found


def begin_baselines(
    first: list[Stance],
    model: Any,
    identity: dict[str, str],
    *,
    asking: "Instrument",
    given: Baseline | None,
    alerting: BaselineName | None,
    replies: bool,
    model_name: str,
    rng: np.random.Generator,
) -> Baselines:
    """The baselines of a run that begins, from its first observation.

    Args:
        first: Stances of the first observation.
        model: The model in training, inside the guard.
        identity: Identity of what was asked, and how.
        asking: Asks again to measure the numeric floor, and asks the SFT model if switching adapters reaches it.
        given: The SFT baseline that the user named; `None` if there is none.
        alerting: Name of the baseline that alerts rest on; `None` prefers "sft".
        replies: Whether the run draws replies; a baseline from a folder gives none.
        model_name: The model's name for people to read.
        rng: Random numbers for the intervals.

    Raises:
        BaselineError: The given baseline is not comparable.
        ConfigError: The user wants alerts to rest on "sft", and there is none, or none that gives replies.
    """
    known: dict[BaselineName, Baseline] = {
        "start": Baseline(name="start", model=model_name, identity=identity, stances=tuple(first))
    }
    again, notes = asking.ask_permuted(model), []
    found = find_reference(model)
    inside = _inside(found, model, first, asking) if isinstance(found, Reference) else None
    if given is not None:
        known["sft"] = _accepted(given, identity)
    elif inside is not None:
        whose = (inside.reference.description,)
        known["sft"] = Baseline("sft", model_name, identity, tuple(inside.stances), notes=whose)
    elif isinstance(found, Reference):
        notes.append(
            f"{found.description} differ from the start of this run, so they are not the SFT model that it "
            "continues; only the start is compared with. Pass baseline=… with the folder of the SFT run."
        )
    elif found == NATIVE:
        notes.append(
            f"{found.why}; only the start is compared with. Make the model with peft.get_peft_model, or pass "
            "baseline=… with the folder of the SFT run."
        )
    name = alerting or ("sft" if "sft" in known else "start")
    if name not in known:
        raise ConfigError(
            'alerts shall rest on the baseline "sft", and there is none: pass baseline=… with its folder'
            f"{'' if isinstance(found, Reference) else f' ({found.why})'}."
        )
    baselines = _frozen(known, name, again, rng)
    elsewhere = _differs(baselines, first, rng) if "sft" in known else None
    # Whether switching adapters reaches the model that alerts rest on; if not, it may still reach the start.
    is_inside = inside is not None and name == "sft" and (given is None or not _differs(baselines, inside.stances, rng))
    if elsewhere is not None:
        notes.append(f"you do not start from this SFT model: at the first observation {elsewhere}")
        if replies and name == "sft" and not is_inside:
            if alerting == "sft":
                raise ConfigError(WITHOUT_REPLIES.format(notes[-1]))
            name, baselines = "start", _frozen(known, "start", again, rng)
            notes[-1] += ON_THE_START
    labels, unused = _labels(known, name, identity)
    reference = inside.reference if inside is not None and (is_inside or inside.is_start) else None
    return replace(baselines, reference=reference, labels=labels, notes=(*asking.notes, *notes, *unused))


def resume_baselines(store: RunStore, identity: dict[str, str], alerting: BaselineName) -> Baselines:
    """The baselines of a run that goes on, as they were when it began.

    Raises:
        BaselineError: The run keeps no baseline, or would ask something else than before.
    """
    known: dict[BaselineName, Baseline] = {}
    for name in ("start", "sft"):
        baseline = store.baseline(name)
        if baseline is not None:
            known[baseline.name] = _accepted(baseline, identity)
    if "start" not in known:
        raise BaselineError(
            f"expected the run in {store.folder} to keep its first observation; found none, so it cannot go on. "
            "Remove the folder, or begin a run under another name."
        )
    calibration = _calibration(known[alerting])
    # Numeric floors were measured when the run began, and every record repeats them.
    records = store.records(superseded=True)
    floors = tuple(floor for floor in (records[-1].floors if records else ()) if floor.kind == "numeric")
    moved = rounding_moved(known["start"].identity, identity)
    labels, _ = _labels(known, alerting, identity)
    return Baselines(known, alerting, calibration, floors, labels=labels, moved=moved)


def _last_whole_look(store: RunStore) -> Baseline:
    """The newest observation that asked the whole bank and was answered: no partial, failed or empty one."""
    try:
        info = store.info()
        records = {(record.look, record.attempt): record for record in store.records()}
        looks = [found for found in store.look_stances() if (found.look, found.attempt) in records]
        start = store.baseline("start")
    except (StoreError, msgspec.DecodeError, msgspec.ValidationError) as err:
        raise BaselineError(f"the run in {store.folder} cannot serve as a baseline: {err}") from err
    wanted = start.stances if start is not None else max((look.stances for look in looks), key=len, default=())
    whole = next((look for look in reversed(looks) if _is_whole(look.stances, wanted)), None)
    if whole is None:
        raise BaselineError(
            f"expected an observation of the whole bank in the run in {store.folder}; found {len(looks)} observations, "
            "and each is partial, failed or empty. Let the run come to its end, which asks the whole bank, or use "
            "driftwatch baseline on the model that it left."
        )
    record = records[whole.look, whole.attempt]
    which = (
        f"the weights of {record.weights}, observed at step {whole.step}" if record.weights else f"step {whole.step}"
    )
    note = f"last whole observation of run {info.run}: {which}"
    if later := [look.step for look in looks if look.look > whole.look]:
        note += f"; later ones, up to step {max(later)}, did not ask the whole bank or were not answered"
    return Baseline(name="sft", model=info.model, identity=info.identity, stances=whole.stances, notes=(note,))


def _is_whole(stances: Sequence[Stance], wanted: Sequence[Stance]) -> bool:
    """Whether every item was asked by every probe, and most of what could be scored at the start was scored."""

    def asked(found: Sequence[Stance]) -> set[tuple[str, str, str]]:
        return {(stance.topic, stance.item, stance.probe) for stance in found}

    def scored(found: Sequence[Stance]) -> Counter[tuple[str, str]]:
        return Counter((stance.topic, stance.probe) for stance in found if stance.unscored is None)

    now = scored(stances)
    return (
        bool(now)
        and asked(wanted) <= asked(stances)
        and all(now[topic] >= ANSWERED * number for topic, number in scored(wanted).items())
    )


def _accepted(baseline: Baseline, identity: dict[str, str]) -> Baseline:
    check_comparable(baseline.identity, identity, whose=f'"{baseline.name}" of {baseline.model}')
    for part, (theirs, ours) in rounding_moved(baseline.identity, identity).items():
        if part in baseline.identity:  # older baselines do not know their kernels
            logger.warning(
                "the baseline %s was measured with %s %s and this run has %s: expect small numeric differences",
                baseline.name,
                part,
                theirs,
                ours,
            )
    return baseline


def _calibration(baseline: Baseline) -> Calibration | None:
    if baseline.calibration is not None:
        return baseline.frozen
    if not any(stance.scores for stance in baseline.stances):
        return None
    return fit_prior(baseline.stances)


class _Inside(NamedTuple):
    """A model that switching adapters reaches, and that can be the SFT model.

    Attributes:
        reference: How to reach it.
        is_start: Whether it is the model that this run starts from.
        stances: Its stances.
    """

    reference: Reference
    is_start: bool
    stances: list[Stance]


def _inside(found: Reference, model: Any, first: list[Stance], asking: "Instrument") -> _Inside | None:
    """The model that switching adapters reaches; `None` if that is the base weights and the run starts elsewhere."""
    own = asking.fingerprint(model)
    with found.active(model) as referred:
        theirs = asking.fingerprint(referred)
        is_start = same_model(own, theirs) or (is_rounding(own, theirs) and has_learned_nothing(model))
        if found.adapter is None and not is_start:
            return None
        return _Inside(found, is_start, first if is_start else asking.ask(referred))


def _frozen(
    known: dict[BaselineName, Baseline], alerting: BaselineName, again: list[Stance], rng: np.random.Generator
) -> Baselines:
    """The baselines, all calibrated by the alerting one's calibration, which is stored with that baseline."""
    calibration = _calibration(known[alerting])
    if calibration is not None:
        frozen = replace(known[alerting], calibration=msgspec.to_builtins(calibration))
        known = {name: frozen if name == alerting else baseline for name, baseline in known.items()}
    baselines = Baselines(known, alerting, calibration)
    repeated = compare(baselines.stances("start"), baselines.calibrated(again), against="start", rng=rng)
    probes = dict.fromkeys(drift.probe for drift in repeated)
    return replace(baselines, floors=tuple(numeric_floor(repeated, probe) for probe in probes))


def _differs(baselines: Baselines, stances: list[Stance], rng: np.random.Generator) -> str | None:
    """How a model's stances differ from those of "sft" beyond numeric noise, in words; `None` if they do not."""
    drifts = compare(baselines.stances("sft"), baselines.calibrated(stances), against="sft", rng=rng)
    moved: list[Drift] = [d for d in drifts if exceeds(d, baselines.floors) and abs(d.log_odds_shift or 1.0) > MERGED]
    if not moved:
        return None
    worst = max(moved, key=lambda drift: abs(drift.log_odds_shift or drift.score_shift or 0.0))
    return f"{len(moved)} of {len(drifts)} topics differ from it beyond the numeric floor, most of all {worst.topic}"


def _labels(
    known: dict[BaselineName, Baseline], alerting: BaselineName, identity: dict[str, str]
) -> tuple[Labels | None, list[str]]:
    """The judged replies that count in a run, and sentences on those that do not."""
    sft = known.get("sft")
    labels = sft.labels if sft is not None else None
    if labels is None:
        return None, []
    why = None
    if alerting != "sft":
        why = f'alerts rest on the baseline "{alerting}"'
    elif f"{REPLIES}/judge" in identity:  # else the run draws none, and these are the only ones
        for part, theirs in labels.identity.items():
            ours = identity.get(f"{REPLIES}/{part}")
            if ours != theirs:
                why = f"{PARTS.get(part, part)} differs (there {theirs}, in this run {ours})"
    if why is None:
        return labels, []
    return None, [f"the replies that were judged for the baseline do not count in this run: {why}"]
