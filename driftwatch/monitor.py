"""Monitor: the whole pipeline of one look; also the way in for training loops without a Trainer.

    ask the model (guarded) → calibrate → compare with the baselines → record → deliver

Nothing here catches errors: `callback.py` holds the one guard.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftwatch import __version__, plugins
from driftwatch.asking import Asking
from driftwatch.baselines import Baselines, begin_baselines, load_baseline, resume_baselines
from driftwatch.budget import Controller, Decision, Spent, Workload
from driftwatch.delivery import Delivery, Line, Parcel
from driftwatch.drift.compare import BaselineName
from driftwatch.errors import ConfigError
from driftwatch.exporters.exporter import Exporter
from driftwatch.guard import undisturbed
from driftwatch.observation import Observation, describe, widest
from driftwatch.probes.probe import Probe
from driftwatch.probes.ranks import broadcast, num_ranks, on_first, rank
from driftwatch.record import Cost, Failure, Phase, Record, RunInfo, TopicInfo
from driftwatch.schedule import Schedule
from driftwatch.store import Baseline, LookStances, RunStore, valid_run_name
from driftwatch.topics import TopicPack

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 20.0  # how long the end of training waits for the last look to be delivered
INTERVALS, NUMERIC_FLOOR = range(2)  # parts of a generator's key


class Monitor:
    """Asks a model in training, again and again, where it stands, and reports how that has moved.

    Args:
        pack: Topic pack, or its name or path.
        baseline: Folder of an SFT run or of `driftwatch baseline`; `None` compares with the start of this run, and with
            the SFT model where switching adapters reaches it.
        alerting_baseline: Which baseline alerts rest on; `None` prefers "sft" where there is one.
        probes: Names or objects.
        schedule: At which steps to look, and at what share of wall time; `is_due` follows it.
        alpha: Probability of any false alert in the whole run that is tolerated, in (0, 1).
        run: Name of the run, the `run` label of every metric; `None` makes one from the time.
        output_dir: Folder in which the run's folder is made.
        exporters: Names or objects.
        seed: Of everything that is drawn.
        clock: Seconds, monotonic; a parameter for tests.

    Raises:
        ConfigError, PackError, PluginError: A setting that cannot work.
    """

    def __init__(
        self,
        pack: str | Path | TopicPack = "core",
        *,
        baseline: str | Path | None = None,
        alerting_baseline: BaselineName | None = None,
        probes: Sequence[str | Probe] = ("statement",),
        schedule: Schedule | None = None,
        alpha: float = 0.01,
        run: str | None = None,
        output_dir: str | Path = "driftwatch-runs",
        exporters: Sequence[str | Exporter] = ("prometheus",),
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < alpha < 1:
            raise ConfigError(f"alpha is a probability between 0 and 1, for example 0.01; found {alpha}.")
        self.run = valid_run_name(run) if run is not None else None
        self.output_dir = Path(output_dir)
        self.store: RunStore | None = None
        self.info: RunInfo | None = None
        self.attempt = 0
        self.last: Record | None = None
        self._asking = Asking(pack, probes)
        self._exporters: list[Exporter] = [plugins.made("exporters", exporter) for exporter in exporters]
        self._source = baseline
        self._alerting = alerting_baseline
        self._schedule = schedule or Schedule()
        self._alpha = alpha
        self._seed = seed
        self._clock = clock
        self._optimizer: Any = None
        self._baselines: Baselines | None = None
        self._delivery: Delivery | None = None
        self._controller = Controller(self._schedule, clock=clock)
        self._decision: Decision | None = None
        self._next_look = 0
        self._last_step = 0
        self._observations = 0
        self._failures: Counter[str] = Counter()
        self._export_failures: Counter[str] = Counter()

    # The life of a run: begin, observe, …, close

    def begin(
        self,
        model: Any,
        tokenizer: Any,
        *,
        step: int = 0,
        planned_steps: int | None = None,
        model_name: str | None = None,
        trainer: str | None = None,
        optimizer: Any = None,
        resume: str | Path | None = None,
    ) -> Record | None:
        """Prepare the probes, find the baselines, and take the first look; on every rank.

        Args:
            model: The model in training.
            tokenizer: Its tokenizer or processor.
            step: Optimizer steps already done.
            planned_steps: The step at which training will end; `None` if unknown.
            model_name: For people; `None` asks the model's config.
            trainer: Class of the trainer.
            optimizer: Schedule-free optimizers need it.
            resume: Folder of the run that goes on under a new attempt number; `None` begins a new run.

        Returns:
            The record of the first look; `None` on a resume, which goes on from the looks that are there.

        Raises:
            ConfigError, BaselineError, StoreError: What cannot work, said before any training time is spent.
        """
        self.close("failed")  # of an earlier training with this monitor; nothing if there was none
        self._optimizer, self._last_step, self._decision = optimizer, step, None
        self._controller = Controller(self._schedule, planned_steps=planned_steps, clock=self._clock)
        with undisturbed(model, tokenizer=tokenizer, optimizer=optimizer) as asked:
            self._asking.prepare(asked, tokenizer)
            identity = self._asking.identity(asked)
        self._controller.full = Workload(blocks=self._asking.num_blocks)
        first = None
        if resume is not None:
            on_first(lambda: self._resume(RunStore(resume), identity), "going on with a run")
        else:
            first = Observation(0, step, "start", self._clock)
            name = model_name or str(getattr(getattr(model, "config", None), "_name_or_path", "")) or "model"
            self._begin_anew(first, model, identity, name, trainer)
        self._share_state()
        if rank() == 0 and self.store is not None and self.info is not None:
            self.store.append_event("begin", attempt=self.attempt, step=step)
            self._delivery = Delivery(self.store, self._exporters)
            self._delivery.start(self.info)
        return None if first is None else self._hand_over(first)

    def is_due(self, step: int) -> bool:
        """Whether to call `observe` now; to be asked after every step, on every rank."""
        if not self._controller.is_due(step):
            return False
        decision = broadcast(self._controller.decide(step) if rank() == 0 else Decision(False))
        self._controller.heed(decision)
        self._decision = decision
        return decision.look

    def observe(self, model: Any, step: int, *, phase: Phase = "train") -> Record:
        """Take one look: ask, compare, record, deliver.

        Args:
            model: The model in training.
            step: Optimizer steps done.
            phase: "end" after the last update.

        Raises:
            ProbeError: The model could not be asked; nothing about the training run has changed.
        """
        observation = Observation(self._next_look, step, phase, self._clock)
        with undisturbed(model, optimizer=self._optimizer) as asked:
            self._ask(asked, observation)
        return self._hand_over(observation)

    def fail(self, step: int, err: Exception) -> None:
        """Record that a look failed; the next one is tried as if nothing had happened."""
        reason = type(err).__name__
        self._failures[f"monitor/{reason}"] += 1
        if self.info is None or self._baselines is None:
            return
        observation = Observation(self._next_look, step, "train", self._clock)
        observation.failures.append(Failure("monitor", f"{reason}: {err}"))
        self._hand_over(observation)

    def close(self, reason: str) -> None:
        """End the run: deliver what waits and say how it ended ("finished", "stopped" or "failed"). Safe to repeat."""
        delivery, self._delivery = self._delivery, None
        if delivery is None or self.store is None:
            return
        delivery.close(reason, timeout=CLOSE_SECONDS)
        self.store.append_event("end", attempt=self.attempt, step=self._last_step, text=reason)

    @property
    def url(self) -> str | None:
        """Where the run is served, once it has begun; `None` if no exporter serves it."""
        return next((url for url in (getattr(e, "url", None) for e in self._exporters) if url), None)

    @property
    def progress(self) -> dict[str, Any]:
        """Where the run is kept and how far it is: what a checkpoint needs for the run to go on."""
        folder = str(self.store.folder) if self.store is not None else None
        return {"folder": folder, "attempt": self.attempt, "look": self._next_look, "step": self._last_step}

    # Stages

    def _begin_anew(
        self, first: Observation, model: Any, identity: dict[str, str], model_name: str, trainer: str | None
    ) -> None:
        source = None if self._source is None else on_first(self._load_source, "reading the baseline")
        with undisturbed(model, optimizer=self._optimizer) as asked:
            self._ask(asked, first)
            with first.stage("baseline"):
                self._baselines = begin_baselines(
                    first.stances,
                    asked,
                    identity,
                    asking=self._asking,
                    given=source,
                    alerting=self._alerting,
                    model_name=model_name,
                    rng=self._rng(0, NUMERIC_FLOOR),
                )
        self.attempt = self._next_look = self._observations = 0
        self._failures.clear()
        self._export_failures.clear()
        on_first(lambda: self._create(identity, model_name, trainer), "making the run's folder")

    def _load_source(self) -> Baseline:
        assert self._source is not None
        return load_baseline(self._source)

    def _create(self, identity: dict[str, str], model_name: str, trainer: str | None) -> None:
        assert self._baselines is not None
        self.store = RunStore(_free_folder(self.output_dir, self.run or time.strftime("run-%Y%m%d-%H%M%S")))
        self.info = self._describe(identity, model_name, trainer)
        self.store.create(self.info)
        for baseline in self._baselines.known.values():
            self.store.write_baseline(baseline)

    def _resume(self, store: RunStore, identity: dict[str, str]) -> None:
        self.store = store
        self.info = store.info()
        self._baselines = resume_baselines(store, identity, self.info.alerting_baseline)
        records = store.records(superseded=True)
        begins = [event.attempt for event in store.events() if event.kind == "begin"]
        self.attempt = max(begins, default=-1) + 1
        self._next_look = max((record.look for record in records), default=-1) + 1
        if records:
            totals = records[-1].cost
            self._observations = totals.observations_total
            self._failures = Counter(totals.failures_total)
            self._export_failures = Counter(totals.export_failures_total)

    def _share_state(self) -> None:
        """What rank 0 read from disk, on every rank."""
        shared = (self.info, self._baselines, self.attempt, self._next_look, self._observations)
        self.info, self._baselines, self.attempt, self._next_look, self._observations = broadcast(shared)

    def _describe(self, identity: dict[str, str], model_name: str, trainer: str | None) -> RunInfo:
        assert self._baselines is not None
        assert self.store is not None
        pack = self._asking.pack
        return RunInfo(
            run=self.store.folder.name,
            created=time.time(),
            model=model_name,
            pack=pack.id,
            pack_version=pack.version,
            pack_digest=pack.digest,
            topics=tuple(TopicInfo(t.id, t.title, t.poles, t.control, len(t.items)) for t in pack),
            version=__version__,
            trainer=trainer,
            baselines=tuple(self._baselines.known),
            alerting_baseline=self._baselines.alerting,
            identity=identity,
            alpha=self._alpha,
            num_processes=num_ranks(),
            notes=self._baselines.notes,
        )

    def _ask(self, model: Any, observation: Observation) -> None:
        decision, self._decision = self._decision, None  # one that was made for this look, if `is_due` was asked
        blocks = decision.blocks if decision is not None and decision.is_partial else None
        with observation.stage("screen"):
            observation.stances = self._asking.ask(model, blocks)
        observation.tokens_scored = self._asking.tokens_scored(blocks)
        observation.blocks = self._asking.num_blocks if blocks is None else len(blocks)
        if blocks is not None:
            observation.notes.append(f"{len(blocks)} of {self._asking.num_blocks} blocks of the bank were asked")

    def _hand_over(self, observation: Observation) -> Record:
        """Turn a look into a record, log one line of it, and give it to the delivery thread."""
        assert self.info is not None
        assert self._baselines is not None
        self._next_look = observation.look + 1
        self._last_step = observation.step
        self._observations += 1
        record = describe(
            observation,
            self.info,
            self._baselines,
            attempt=self.attempt,
            cost=self._cost(),
            rng=self._rng(observation.look, INTERVALS),
        )
        self._controller.record(Spent(record.cost.seconds, observation.blocks, 0))
        if self._delivery is not None:
            found = LookStances(observation.look, observation.step, self.attempt, tuple(observation.stances))
            self._delivery.submit(Parcel(record, (Line("stances.jsonl", found),)))
        if rank() == 0:
            _log(record, self.info)
        self.last = record
        return record

    def _cost(self) -> Cost:
        """Running totals, before this look's own figures."""
        exported = self._delivery.failures if self._delivery is not None else Counter[str]()
        return Cost(
            overhead_ratio=self._controller.overhead_ratio,
            observations_total=self._observations,
            failures_total=dict(self._failures),
            export_failures_total=dict(self._export_failures + exported),
        )

    def _rng(self, look: int, part: int) -> np.random.Generator:
        """A generator of its own for each purpose, so that a record can be recomputed in any order."""
        return np.random.default_rng(np.random.SeedSequence([self._seed, self.attempt, look, part]))


def _free_folder(parent: Path, name: str) -> Path:
    """A folder that no run uses: two trainings never mix, also when both are called the same."""
    folder, number = parent / valid_run_name(name), 1
    while (folder / "run.json").exists():
        number += 1
        folder = parent / f"{name}-{number}"
    return folder


def _log(record: Record, info: RunInfo) -> None:
    """The one INFO line of an observation."""
    most = widest(record, info)
    logger.info(
        "observed run=%s step=%d look=%d topics=%d items=%d max_total_variation=%s topic=%s alerts=%d seconds=%.2f",
        record.run,
        record.step,
        record.look,
        len(info.topics),
        sum(stance.num_items for stance in record.stances),
        "none" if most is None or most.total_variation is None else f"{most.total_variation:.3f}",
        "none" if most is None else most.topic,
        len(record.alerts),
        sum(record.cost.seconds.values()),
    )
