"""Baselines: what a run compares with, where they come from, and whether they may be compared at all.

- `start`: this run's first look.
- `sft`: the model that SFT left. From a folder (an SFT run, or what `driftwatch baseline` wrote), or from the model in
  training itself, by switching its adapters.

Prior and temperature of the screen are frozen here, with the baseline that alerts rest on.
"""

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from driftwatch.drift.calibration import Calibration, calibrated, fit_prior
from driftwatch.drift.compare import BaselineName, Drift, compare
from driftwatch.drift.floor import Floor, exceeds, numeric_floor
from driftwatch.errors import BaselineError, ConfigError, StoreError
from driftwatch.identity import check_comparable, rounding_moved, same_model
from driftwatch.reference import Reference, find_reference
from driftwatch.stance import Stance
from driftwatch.store import Baseline, RunStore

if TYPE_CHECKING:
    from driftwatch.asking import Asking

logger = logging.getLogger(__name__)

FILE = "baseline.json"  # what `driftwatch baseline` writes; the folder of a run has records instead
# Nats a token: merging a trained adapter into bfloat16 weights moved topics by up to 0.006 in the demo.
MERGED = 0.02


@dataclass(frozen=True, slots=True)
class Baselines:
    """What every look of a run is compared with.

    Attributes:
        known: By name; "start" always, "sft" where there is one.
        alerting: The one that alerts rest on.
        calibration: Of the screen, frozen; `None` where no probe gives scores.
        floors: Numeric floors, one a probe.
        reference: How the SFT model can be reached inside the model in training; `None` where it cannot.
        notes: Sentences for the reader of the run.
        moved: Where a run goes on: what decides about rounding and differs from when it began, then and now.
    """

    known: dict[BaselineName, Baseline]
    alerting: BaselineName
    calibration: Calibration | None
    floors: tuple[Floor, ...] = ()
    reference: Reference | None = None
    notes: tuple[str, ...] = ()
    moved: dict[str, tuple[str, str]] = field(default_factory=dict)

    def stances(self, name: BaselineName) -> list[Stance]:
        """A baseline's stances, calibrated as every look is."""
        return self.calibrated(self.known[name].stances)

    def calibrated(self, stances: tuple[Stance, ...] | list[Stance]) -> list[Stance]:
        """Stances with probabilities, by the frozen prior and temperature."""
        return list(stances) if self.calibration is None else calibrated(stances, self.calibration)


def load_baseline(folder: str | Path) -> Baseline:
    """The SFT model's stances from a folder.

    Args:
        folder: What `driftwatch baseline` wrote, or the folder of an SFT run, whose last look counts.

    Raises:
        BaselineError: Nothing there, or not whole.
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
    return _last_look(store)


def begin_baselines(
    first: list[Stance],
    model: Any,
    identity: dict[str, str],
    *,
    asking: "Asking",
    given: Baseline | None,
    alerting: BaselineName | None,
    model_name: str,
    rng: np.random.Generator,
) -> Baselines:
    """The baselines of a run that begins, from its first look.

    Args:
        first: Stances of the first look.
        model: The model in training, inside the guard.
        identity: What was asked, and how.
        asking: Asks again, for the numeric floor, and asks the SFT model where switching adapters reaches it.
        given: The SFT baseline that the user named, or `None`.
        alerting: The baseline that alerts rest on, or `None` to prefer "sft".
        model_name: For people.
        rng: For intervals.

    Raises:
        BaselineError: The given baseline is not comparable.
        ConfigError: Alerts shall rest on "sft", and there is none.
    """
    known: dict[BaselineName, Baseline] = {
        "start": Baseline(name="start", model=model_name, identity=identity, stances=tuple(first))
    }
    again = asking.ask_permuted(model)
    reference, notes = None, []
    if given is not None:
        known["sft"] = _accepted(given, identity)
    found = find_reference(model)
    if isinstance(found, Reference):
        own = asking.fingerprint(model)
        with found.active(model) as referred:
            is_start = same_model(own, asking.fingerprint(referred))
            theirs = first if is_start or given is not None else asking.ask(referred)
        if is_start or found.adapter is not None:
            reference = found
            if given is None:
                known["sft"] = Baseline("sft", model_name, identity, tuple(theirs), notes=(found.description,))
        elif given is None:
            notes.append(
                f"{found.description} differ from the start of this run, so they are not the SFT model that it "
                "continues; only the start is compared with. Pass baseline=… with the folder of the SFT run."
            )
    if alerting is None:
        alerting = "sft" if "sft" in known else "start"
    elif alerting not in known:
        raise ConfigError(
            'alerts shall rest on the baseline "sft", and there is none: pass baseline=… with its folder'
            f"{'' if isinstance(found, Reference) else f' ({found})'}."
        )
    calibration = _calibration(known[alerting])
    if calibration is not None:
        known[alerting] = replace(known[alerting], calibration=msgspec.to_builtins(calibration))
    baselines = Baselines(known, alerting, calibration, reference=reference)
    floors = _numeric_floors(baselines.stances("start"), baselines.calibrated(again), rng)
    if "sft" in known:
        notes += _starts_elsewhere(baselines, floors, rng)
    return replace(baselines, floors=floors, notes=tuple(notes))


def resume_baselines(store: RunStore, identity: dict[str, str], alerting: BaselineName) -> Baselines:
    """The baselines of a run that goes on, as they were when it began.

    Raises:
        BaselineError: The run keeps none, or asks something else than it did.
    """
    known: dict[BaselineName, Baseline] = {}
    for name in ("start", "sft"):
        baseline = store.baseline(name)
        if baseline is not None:
            known[baseline.name] = _accepted(baseline, identity)
    if "start" not in known:
        raise BaselineError(
            f"expected the run in {store.folder} to keep its first look; found none, so it cannot go on. "
            "Remove the folder, or begin a run under another name."
        )
    stored = known[alerting].calibration
    calibration = msgspec.convert(stored, Calibration) if stored else _calibration(known[alerting])
    # Numeric floors were measured when the run began, and every record since repeats them.
    records = store.records(superseded=True)
    floors = tuple(floor for floor in (records[-1].floors if records else ()) if floor.kind == "numeric")
    moved = rounding_moved(known["start"].identity, identity)
    return Baselines(known, alerting, calibration, floors, moved=moved)


def _last_look(store: RunStore) -> Baseline:
    try:
        info = store.info()
        kept = {(record.look, record.attempt) for record in store.records()}
        looks = [found for found in store.look_stances() if (found.look, found.attempt) in kept]
    except (StoreError, msgspec.DecodeError, msgspec.ValidationError) as err:
        raise BaselineError(f"the run in {store.folder} cannot serve as a baseline: {err}") from err
    if not looks:
        raise BaselineError(
            f"the run in {store.folder} has no look to compare with. Let it make one, or use driftwatch baseline."
        )
    return Baseline(
        name="sft",
        model=info.model,
        identity=info.identity,
        stances=looks[-1].stances,
        notes=(f"last look of run {info.run}, step {looks[-1].step}",),
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
        return msgspec.convert(baseline.calibration, Calibration)
    if not any(stance.scores for stance in baseline.stances):
        return None
    return fit_prior(baseline.stances)


def _numeric_floors(first: list[Stance], again: list[Stance], rng: np.random.Generator) -> tuple[Floor, ...]:
    repeated = compare(first, again, against="start", rng=rng)
    return tuple(numeric_floor(repeated, probe) for probe in dict.fromkeys(drift.probe for drift in repeated))


def _starts_elsewhere(baselines: Baselines, floors: tuple[Floor, ...], rng: np.random.Generator) -> list[str]:
    drifts = compare(baselines.stances("sft"), baselines.stances("start"), against="sft", rng=rng)
    moved: list[Drift] = [d for d in drifts if exceeds(d, floors) and abs(d.log_odds_shift or 1.0) > MERGED]
    if not moved:
        return []
    worst = max(moved, key=lambda drift: abs(drift.log_odds_shift or drift.score_shift or 0.0))
    return [
        f"you do not start from this SFT model: at the first look {len(moved)} of {len(drifts)} topics differ from it "
        f"beyond the numeric floor, most of all {worst.topic}"
    ]
