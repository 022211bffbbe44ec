"""Instrument: a topic pack and the probes that ask it, prepared once so that a run always asks in the same way."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from driftwatch import plugins
from driftwatch.drift.calibration import fit_prior
from driftwatch.errors import SETTINGS, ConfigError
from driftwatch.host.guard import undisturbed
from driftwatch.host.identity import model_identity
from driftwatch.host.ranks import everywhere, is_known_to_all, same_everywhere
from driftwatch.probes.probe import InBlocks, Probe
from driftwatch.stance import Stance
from driftwatch.store.run_store import Baseline
from driftwatch.topics import TopicPack, load_pack

logger = logging.getLogger(__name__)


class Instrument:
    """What is asked and how; prepared once, so that every observation of a run asks the same.

    Args:
        pack: The topic pack, or its name or path.
        probes: Probes, or their names.

    Raises:
        ConfigError, PackError, PluginError: A setting that cannot work.
    """

    def __init__(self, pack: str | Path | TopicPack, probes: Sequence[str | Probe] = ("statement",)) -> None:
        if not probes:
            raise ConfigError('expected at least one probe, for example probes=("statement",); found none.')
        self.pack = pack if isinstance(pack, TopicPack) else load_pack(pack)
        self._given: list[Probe] = [plugins.made("probes", probe) for probe in probes]
        self._probes = list(self._given)
        self.left_out: dict[str, str] = {}

    def prepare(self, model: Any, tokenizer: Any) -> None:
        """Encode the questions for this model's tokenizer, inside the guard.

        A third-party probe that cannot be prepared is left out if another probe remains; `left_out` says why, by kind.

        Raises:
            ConfigError: Ranks were given different packs or probes; raised on every rank.
        """
        settings = f"{self.pack.digest} asked by {', '.join(probe.kind for probe in self._given)}"
        same_everywhere(settings, "the topic pack with its probes")
        self._probes, self.left_out = list(self._given), {}
        for probe in self._given:
            self._prepare(probe, model, tokenizer)

    def _prepare(self, probe: Probe, model: Any, tokenizer: Any) -> None:
        try:
            everywhere(lambda: probe.prepare(model, tokenizer, self.pack.topics), f"preparing the probe {probe.kind}")
        except SETTINGS:
            raise
        except Exception as err:
            if not is_known_to_all(err) or not self._leave_out(probe, err):
                raise

    def _leave_out(self, probe: Probe, err: Exception) -> bool:
        """Leave a third-party probe out if another is left, and say whether that was done; never one of our own."""
        if type(probe).__module__.startswith("driftwatch.") or len(self._probes) == 1:
            return False
        self._probes.remove(probe)
        self.left_out[probe.kind] = f"{type(err).__name__}: {err}"
        logger.warning("the probe %s failed at the start and is left out of this run", probe.kind, exc_info=err)
        return True

    def identity(self, model: Any) -> dict[str, str]:
        """What two measurements must share, and what explains a difference between them; after `prepare`."""
        identity = {"pack": self.pack.digest, **model_identity(model)}
        for probe in self._probes:
            identity.update({f"{probe.kind}/{part}": value for part, value in probe.identity().items()})
        return identity

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know about how the model is asked; after `prepare`."""
        return tuple(dict.fromkeys(note for probe in self._probes for note in getattr(probe, "notes", ())))

    @property
    def num_blocks(self) -> int:
        """Number of blocks of the bank; after `prepare`."""
        return max((probe.num_blocks for probe in self._probes if isinstance(probe, InBlocks)), default=1)

    def ask(self, model: Any, blocks: Sequence[int] | None = None) -> list[Stance]:
        """The stance of every item, uncalibrated; call it inside the guard.

        Args:
            model: The model to ask.
            blocks: Which blocks of the bank to ask, if a probe can ask blocks; `None` for all of it.
        """
        found = []
        for probe in self._probes:
            found += _measured(probe, model, blocks)
        return found

    def ask_each(
        self, model: Any, blocks: Sequence[int] | None = None, *, is_first: bool = False
    ) -> tuple[list[Stance], list[tuple[str, Exception]]]:
        """Like `ask`, but each probe by itself: one that fails, with any error, loses only its own stances.

        Args:
            model: The model to ask.
            blocks: As in `ask`.
            is_first: Whether everything later is compared with this. Then one of our own probes raises if it fails, and
                a third-party probe is left out of the run.

        Returns:
            The stances of the probes that could be asked, and kind and error of those that could not.
        """
        found: list[Stance] = []
        failed: list[tuple[str, Exception]] = []

        def measure(probe: Probe) -> None:
            try:
                found.extend(everywhere(lambda: _measured(probe, model, blocks)))
            except Exception as err:
                if not is_known_to_all(err):
                    raise
                if is_first and not self._leave_out(probe, err):
                    raise
                failed.append((probe.kind, err))

        for probe in list(self._probes):
            measure(probe)
        return found, failed

    def ask_permuted(self, model: Any) -> list[Stance]:
        """The stances of the core, asked in other batches: the difference from `ask` is numeric noise."""
        found = []
        for probe in self._probes:
            with _modes_kept(model):
                if isinstance(probe, InBlocks):
                    found += probe.measure(model, permuted=True, blocks=(0,))
                else:
                    found += probe.measure(model, permuted=True)
        return found

    def fingerprint(self, model: Any) -> tuple[float, ...]:
        """A few cheap log-likelihoods that tell two models apart; empty if no probe has any. Inside the guard."""
        asked = [probe.fingerprint(model) for probe in self._probes if isinstance(probe, InBlocks)]
        return tuple(value for found in asked for value in found)

    def tokens_scored(self, blocks: Sequence[int] | None = None) -> int:
        """Tokens that the model computes when some blocks are asked; `None` for all blocks."""
        return sum(probe.tokens_scored(blocks) for probe in self._probes if isinstance(probe, InBlocks))


def _measured(probe: Probe, model: Any, blocks: Sequence[int] | None) -> list[Stance]:
    with _modes_kept(model):
        return list(probe.measure(model, blocks=blocks) if isinstance(probe, InBlocks) else probe.measure(model))


@contextmanager
def _modes_kept(model: Any) -> Iterator[None]:
    """Put back each module's training mode, since a probe that leaves dropout on would make later answers random."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def ask_once(
    model: Any,
    tokenizer: Any,
    pack: str | Path | TopicPack,
    *,
    model_name: str,
    probes: Sequence[str | Probe] = ("statement",),
) -> Baseline:
    """The baseline "sft": the frozen stances of a model that is not in training."""
    asking = Instrument(pack, probes)
    with undisturbed(model, tokenizer=tokenizer) as asked:
        asking.prepare(asked, tokenizer)
        identity = asking.identity(asked)
        stances = asking.ask(asked)
    scored = any(stance.scores for stance in stances)
    return Baseline(
        name="sft",
        model=model_name,
        identity=identity,
        stances=tuple(stances),
        calibration=msgspec.to_builtins(fit_prior(stances)) if scored else None,
    )
