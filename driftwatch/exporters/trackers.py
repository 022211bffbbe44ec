"""TrackersExporter: the same numbers in the experiment tracker that is already open.

A callback cannot hand its figures to the Trainer's own reporting, which runs before user callbacks and takes only what
the Trainer logs. So they are written here, as `driftwatch/…` with the training step: to the open run of W&B (wandb),
MLflow or Trackio, beside the Trainer's TensorBoard files, and to `state.log_history`. This exporter imports no tracker
that the training has not imported itself, and opens no run.
"""

import importlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from driftwatch.documents.checking import checked
from driftwatch.errors import ExportError
from driftwatch.record.metrics import (
    ALPHA,
    ATTEMPT,
    CANNOT_TELL,
    HEARTBEAT,
    LAST_OBSERVATION,
    OBSERVED_STEP,
    RUN_INFO,
    RUN_STATE,
    TOPIC_INFO,
    TOPIC_LABEL,
    TOPIC_STATE,
    VERDICT,
    Metric,
)
from driftwatch.record.record import Record, RunInfo
from driftwatch.record.samples import samples
from driftwatch.store.run_store import RunStore

logger = logging.getLogger(__name__)

PREFIX = "driftwatch/"
TENSORBOARD_DIR = "TENSORBOARD_LOGGING_DIR"  # where transformers' own callback writes, if it is set
# Metrics that are no curves, since they describe the run or are clocks.
DESCRIBING = (RUN_INFO, RUN_STATE, VERDICT, CANNOT_TELL, TOPIC_INFO, TOPIC_STATE, TOPIC_LABEL, ALPHA, ATTEMPT)
CLOCKS = (HEARTBEAT, LAST_OBSERVATION, OBSERVED_STEP)
LEFT_OUT = {metric.name for metric in (*DESCRIBING, *CLOCKS)}
_MLFLOW_BATCH = 1000  # most metrics that its API takes at once

Write = Callable[[dict[str, float], int], None]


class TrackersExporter:
    """Writes every observation to the trackers that are open when training begins."""

    name = "trackers"

    @checked
    def __init__(
        self,
        *,
        tensorboard: Annotated[
            str | Path | None, Meta(description="Folder for TensorBoard files; `None` takes the Trainer's.")
        ] = None,
        only: Annotated[
            Sequence[str] | None, Meta(description="Names of metrics of the catalogue to write; `None` for all.")
        ] = None,
    ) -> None:
        self._folder = Path(tensorboard) if tensorboard is not None else None
        self._only = set(only) if only is not None else None
        self._info: RunInfo | None = None
        self._history: list[Any] | None = None
        self._writers: dict[str, Write] = {}
        self._board: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """The state of a copy: the settings, without anything that is open."""
        return {**vars(self), "_info": None, "_history": None, "_writers": {}, "_board": None}

    def attach(self, args: Any, state: Any) -> None:
        """Take the Trainer's settings and state, before `open`.

        Args:
            args: The Trainer's TrainingArguments, which say whether it writes TensorBoard files, and where.
            state: The Trainer's TrainerState, whose `log_history` gets every observation.
        """
        self._history = state.log_history
        if self._folder is None and "tensorboard" in (getattr(args, "report_to", None) or ()):
            self._folder = _trainer_folder(Path(args.output_dir))

    def open(self, info: RunInfo, store: RunStore) -> None:
        """Find the runs that are open now, on the training thread, since some trackers keep their run by thread."""
        self._info = info
        found = {"wandb": _wandb(), "mlflow": _mlflow(), "trackio": _trackio()}
        self._writers = {name: write for name, write in found.items() if write is not None}
        if self._folder is not None:
            self._board = _summary_writer(self._folder)
            self._writers["tensorboard"] = self._write_board
        if not self._writers and self._history is None:
            logger.warning(
                "the exporter “trackers” found no open run of wandb, mlflow or trackio, and no TensorBoard files; "
                "nothing is written. Set report_to=… of the Trainer, or open a run before training begins."
            )

    def export(self, record: Record) -> None:
        """Write one observation to each tracker; if one fails, the others still get it.

        Raises:
            ExportError: At least one tracker could not be written; the message names it with its reason.
        """
        if self._info is None:
            return
        figures = scalars(self._info, record, only=self._only)
        if self._history is not None:
            self._history.append({**figures, "step": record.step})
        failed = [text for name, write in self._writers.items() if (text := _tried(name, write, figures, record.step))]
        if failed:
            raise ExportError("; ".join(failed))

    def beat(self, timestamp: float) -> None:
        """Do nothing, since trackers have their own signs of life."""

    def close(self, state: str) -> None:
        """Close our own TensorBoard file; the runs of trackers belong to those who opened them."""
        if self._board is not None:
            self._board.close()
            self._board = None
        self._writers = {}

    def _write_board(self, figures: dict[str, float], step: int) -> None:
        for name, value in figures.items():
            self._board.add_scalar(name, value, step)
        self._board.flush()


def scalars(info: RunInfo, record: Record, *, only: set[str] | None = None) -> dict[str, float]:
    """The figures of an observation by name, such as driftwatch/drift_net_shift_ratio/immigration/sft.

    Args:
        info: Attributes of the run.
        record: The observation.
        only: Names of the metrics of the catalogue to take; `None` means all that are curves.
    """
    return {
        "/".join((_short(sample.metric), *sample.labels[1:])): sample.value
        for sample in _curves(info, record)
        if only is None or sample.metric.name in only
    }


def _curves(info: RunInfo, record: Record) -> Iterator[Any]:
    for sample in samples(info, record, state="running"):
        if sample.metric.name not in LEFT_OUT:
            yield sample


def _short(metric: Metric) -> str:
    return PREFIX + metric.name.removeprefix("driftwatch_")


def _tried(name: str, write: Write, figures: dict[str, float], step: int) -> str | None:
    """Why writing to a tracker failed; `None` if it did not."""
    try:
        write(figures, step)
    except Exception as err:  # noqa: BLE001 - whatever a tracker's package raises, the next tracker is tried
        return f"{name}: {type(err).__name__}: {err}"
    return None


# For each tracker a function that returns how to write to the open run, or None if none is open.


def _wandb() -> Write | None:
    run = getattr(sys.modules.get("wandb"), "run", None)
    if run is None:
        return None
    # The Trainer draws its curves over train/global_step, and ours share that axis.
    return lambda figures, step: run.log({**figures, "train/global_step": step})


def _mlflow() -> Write | None:
    mlflow = sys.modules.get("mlflow")
    run = mlflow.active_run() if mlflow is not None and hasattr(mlflow, "active_run") else None
    if mlflow is None or run is None:
        return None
    client, run_id = mlflow.MlflowClient(), run.info.run_id

    def write(figures: dict[str, float], step: int) -> None:
        now = int(1000 * time.time())
        metrics = [mlflow.entities.Metric(name, value, now, step) for name, value in figures.items()]
        for begin in range(0, len(metrics), _MLFLOW_BATCH):
            client.log_batch(run_id, metrics=metrics[begin : begin + _MLFLOW_BATCH])

    return write


def _trackio() -> Write | None:
    variables = sys.modules.get("trackio.context_vars")
    run = variables.current_run.get() if variables is not None else None
    if run is None:
        return None
    return lambda figures, step: run.log({**figures, "train/global_step": step})


def _trainer_folder(output: Path) -> Path:
    """The folder of the Trainer's own TensorBoard files of this training, or a folder of ours if there are none yet."""
    named = os.environ.get(TENSORBOARD_DIR)
    if named:
        return Path(named).expanduser()
    written = sorted((output / "runs").glob("*/events.out.tfevents.*"), key=lambda path: path.stat().st_mtime)
    return written[-1].parent if written else output / "runs" / "driftwatch"


def _summary_writer(folder: Path) -> Any:
    try:
        if "torch" in sys.modules:
            module = importlib.import_module("torch.utils.tensorboard")
        else:
            module = importlib.import_module("tensorboardX")
    except ImportError as err:
        raise ExportError(
            f"TensorBoard files need a package that is not installed ({err}). Install it with: pip install tensorboard."
        ) from err
    return module.SummaryWriter(log_dir=str(folder), filename_suffix=".driftwatch")
