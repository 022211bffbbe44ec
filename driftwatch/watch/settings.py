"""RunSettings: every setting of a run, defined once with its type, bounds, default and help text.

::

    RunSettings ──► DriftCallback(…), Monitor(…)      check what they are given, and are copied by it
         │
         └────────► the settings file ──► its schema, docs/configuration.md, `driftwatch config check` and `show`

There is no second vocabulary: each parameter of `DriftCallback` is a key of the file under the same name. This module
does not load torch, because a settings file is checked without it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta
from msgspec.structs import asdict, force_setattr

from driftwatch.documents.checking import Wrong, refuse, wrong_in
from driftwatch.drift.compare import BaselineName
from driftwatch.errors import ConfigError, PackError
from driftwatch.evidence.tolerance import TOLERATED, misnamed
from driftwatch.exporters.exporter import Exporter
from driftwatch.probes.probe import Probe
from driftwatch.replies.confirmation import Confirmation
from driftwatch.store.folder import absolute
from driftwatch.store.run_store import MAX_NAME, NAME
from driftwatch.topics import TopicPack, load_pack
from driftwatch.watch.action import Action
from driftwatch.watch.schedule import Schedule

OF_A_TRAINER = ("actions", "on_error")  # settings that need a Trainer, so that a Monitor does not take them
RUNS_FOLDER = "driftwatch-runs"  # the folder of runs of a Monitor that is given none

Share: TypeAlias = Annotated[float, Meta(ge=0, lt=1, title="a share of replies", examples=[0.05])]


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a run, checked, and with packs loaded and paths absolute so that copies of a run can use them.

    Raises:
        ConfigError, PackError, PluginError: Settings that cannot work, each with what was expected, what
            was found and what to do.
    """

    pack: Annotated[
        str | Path | TopicPack,
        Meta(description='Topic pack: its name, file or folder, or several joined: "core+refusal".'),
    ] = "core"
    baseline: Annotated[
        str | Path | None,
        Meta(
            description="Folder of the SFT run, or of `driftwatch baseline`; `None` compares with the start of this "
            "run, and with the SFT model where switching LoRA adapters reaches it."
        ),
    ] = None
    alerting_baseline: Annotated[
        BaselineName | None,
        Meta(
            description='Which baseline alerts rest on; `None` prefers "sft" where there is one, and it can be asked '
            "for replies if they are drawn."
        ),
    ] = None
    probes: Annotated[
        Sequence[str | Probe],
        Meta(
            min_length=1,
            description="How the model is asked: by name, each with options where it needs them.",
        ),
    ] = ("statement",)
    confirm: Annotated[
        Confirmation | None,
        Meta(
            examples=[{"judge": "sides"}],
            description="How replies are drawn and who reads them; `None` leaves it at the screen, and states stop at "
            '"watch".',
        ),
    ] = None
    schedule: Annotated[
        Schedule | None,
        Meta(examples=[{"every_steps": 100}], description="At which steps to observe, and at what share of wall time."),
    ] = None
    alpha: Annotated[
        float,
        Meta(
            gt=0,
            lt=1,
            title="a probability",
            description="Probability of any false alert in the whole run that is tolerated.",
        ),
    ] = 0.01
    tolerance: Annotated[
        Share | Mapping[str, Share],
        Meta(
            description="Drift that is tolerated, as a change of a stance's share; an alert beyond it is "
            '"beyond_tolerance". One number, or a number by topic, with "default" for the others. A resumed run takes '
            "no other.",
        ),
    ] = TOLERATED
    run: Annotated[
        str | None,
        Meta(
            title=f"a name of 1 to {MAX_NAME} letters, digits, dots, dashes and underscores that begins with a letter "
            "or digit",
            pattern=f"^{NAME}$",
            examples=["dpo-1"],
            description="Name of the run, the `run` label of every metric; `None` takes the Trainer's run_name, or "
            "makes one from the time.",
        ),
    ] = None
    output_dir: Annotated[
        str | Path | None,
        Meta(
            description="Folder in which the run's folder is made; `None` takes \"driftwatch\" in the Trainer's output "
            'folder, which leads to "_driftwatch" there: the Trainer\'s upload to the Hub leaves that out.'
        ),
    ] = None
    exporters: Annotated[
        Sequence[str | Exporter],
        Meta(
            description="Where figures go: by name, each with options where it needs them.",
        ),
    ] = ("prometheus",)
    actions: Annotated[
        Sequence[str | Action],
        Meta(
            description='What to do about a specific alert, by name: "save" or "stop". Nothing by default.',
        ),
    ] = ()
    seed: Annotated[
        int | None,
        Meta(
            ge=0,
            examples=[7],
            description="Seed of everything that is drawn; `None` derives it from the run's own id, so that another "
            "training draws other questions and does not repeat a false alarm. It is kept with the run, and a resumed "
            "run goes on with it.",
        ),
    ] = None
    on_error: Annotated[
        Literal["warn", "raise"],
        Meta(description='"warn" keeps training whatever happens to an observation; "raise" is for tests.'),
    ] = "warn"

    def __post_init__(self) -> None:
        wrong = wrong_in(RunSettings, asdict(self))
        sound = {name: value for name, value in asdict(self).items() if name not in {one.key[0] for one in wrong}}
        settled, more = settle(sound)
        refuse([*wrong, *more])
        for name, value in settled.items():
            force_setattr(self, name, value)

    def of_monitor(self) -> dict[str, Any]:
        """The keyword arguments that make a `Monitor` with these settings."""
        given = {name: value for name, value in asdict(self).items() if name not in OF_A_TRAINER}
        return {**given, "output_dir": RUNS_FOLDER if self.output_dir is None else self.output_dir}


def settle(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Wrong]]:
    """Settings as a run and its copies need them, with the pack loaded and the paths made absolute.

    Args:
        values: Some or all settings, each of the right type. A check that needs a missing setting is skipped.

    Returns:
        The settings, and what is wrong with those that cannot work.
    """
    found = dict(values)
    for name in ("baseline", "output_dir"):
        if found.get(name) is not None:
            found[name] = absolute(found[name])
    for name in ("probes", "exporters", "actions"):
        if name in found:
            found[name] = tuple(found[name])
    pack = found.get("pack")
    if isinstance(pack, (str, Path)):
        try:
            pack = found["pack"] = load_pack(pack)
        except PackError as err:
            return found, [Wrong(("pack",), err)]
    if isinstance(pack, TopicPack) and "tolerance" in found:
        values_of, controls = ([t.id for t in pack.topics if t.control == is_control] for is_control in (False, True))
        sentences = misnamed(found["tolerance"], values_of, controls)
        return found, [Wrong(("tolerance", name), ConfigError(sentence)) for name, sentence in sentences.items()]
    return found, []
