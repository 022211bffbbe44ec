"""`python -m tools.trainers_page`: shows which trainers and versions were run, from the results in docs/compat.

`make compat` writes these results. A row stands for real trainings with one trainer; what was not run has no row.
"""

from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

from driftwatch.host.trainers import TRAINERS, TrainerSupport
from tools.chat_templates import HEAD as TEMPLATE_HEAD
from tools.chat_templates import table as template_table

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "compat"
COLUMNS = ("attaches", "measures", "training bit-identical", "resumes", "stops on request")
PLAIN_FAMILY, FULL = "Llama, ChatML-style template", "full"
ENVIRONMENTS = {  # name of the file with results: words for people
    "newest": "newest released (`make newest`)",
    "pinned": "pinned (`make compat`)",
    "ppo": "pinned, with the last TRL that has PPO (`make compat`)",
    "oldest": "oldest supported (`make oldest`)",
}

OLDEST_RUN = "The ranges in pyproject.toml begin at the oldest rows. What lies between was not run."
OLDEST_NOT_RUN = (
    "The ranges in pyproject.toml begin at versions on which parts of the suite were run while they were chosen; the "
    "whole of it has no result there yet, so nothing is claimed for them."
)

PAGE = """\
# Trainers

Generated from `driftwatch/host/trainers.py` and the results in `docs/compat/`; `make generate` rewrites it. `make
newest`, `make compat` and `make oldest` make the results. Every cell comes from real trainings of four steps on tiny
random models; what was not run has no row.

- **attaches**: the callback observes before the first step, after each step and at the end.
- **measures**: each topic has a figure at each observation, drift is seen once weights have moved, replies were drawn
  and read.
- **training bit-identical**: weights, buffers, optimizer and logged losses are those of the same training without it.
- **resumes**: from a checkpoint the run goes on in its folder, without a gap or a duplicate.
- **stops on request**: the action `stop` ends training after the step. A trainer that ignores it is reported in the log
  and in the run's events.

## By trainer

"Holds the policy against" is the trainer's own reference model. With LoRA a frozen copy is the model with its adapters
off, or the frozen adapter "ref"; there driftwatch finds the SFT model by itself. Elsewhere give it `baseline=`, or
alerts rest on the start of the run.

{by_trainer}

`trl.experimental` may change with any release of TRL. Where a trainer samples with vLLM, its engine can write the
replies, too: [vllm.md](vllm.md).

## By model, template and weights

{by_model}

## Mixtures of experts, and configs that differ by layer

`python -m pytest tests/promises/test_mixtures.py -m nightly` trains 37 tiny mixtures of experts and two Gemma 4 with
the trainers' own defaults, every weight and by LoRA on all linear layers: two steps, an observation with replies at
each. Wherever the trainer can train the model without driftwatch, every observation is measured and the weights are the
same to the last bit. TRL 1.16 or peft cannot train some (Doge, Flint, Granite's, JetMoe, Llama 4, Phi and DeepSeek V4;
with LoRA also Nemotron-H).

| trainer | every weight | LoRA |
| --- | --- | --- |
| SFT | 30 of 30 that it can train | 29 of 29 |
| DPO | 29 of 29 that were tried | 29 of 29 |
| GRPO | 9 of 9 that were tried | 9 of 9 that were tried |
| Reward | refused before training | refused before training |

A reward model has no words: it is given scores by a head of its own. The policy that is trained against it is watched.

## By chat template

What a run finds out when it begins, for every template that TRL {trl} ships (`python -m tools.chat_templates`): the
conversation is rendered with the assistant's turn, as trainers render it, and encoded whole; a reply is written, and an
answer scored, behind what training renders before an answer. What ends a turn ends a reply. Dates stand still at 26
July 2024. A template that loses the question is given content as a list of parts, and refused if that does not help.

{by_template}

"Before an answer" compares that rendering with the template's own generation prompt: "without" names the end of the
prompt that training leaves out, and what follows is what it renders there. Thoughts before the final words are no
reply; where only `enable_thinking=False` keeps a model from them, replies are asked for so, and the run says it.

## Several ranks

Trainings of three steps by hand on the CPU (gloo), of a tiny model, in the layouts that trainers make of it;
`DRIFTWATCH_RANKS=docs/compat/ranks.jsonl python -m pytest -m nightly tests/distributed/test_layouts.py` makes the
results. A Trainer of its own goes through the same in `tests/distributed/test_training.py`. DeepSpeed trains on the CPU
where `DS_ACCELERATOR=cpu` says so and a C++ compiler can build its exchange between processes.

- **identical**: the weights of every rank are those of the same training without driftwatch.
- **figures**: the first observation is that of one process, within 0.0001 nats per token (bfloat16: 0.1).
- **raises**, **is slow**: one rank fails, or takes longer than the others wait, in the middle of an observation, which
  is abandoned on all ranks; the next ones are made, and the weights stay identical.
- **is killed**: by SIGTERM in the middle of an observation; all ranks end with the exit codes that they have without
  driftwatch.
- **full disk**: no file of the run takes a line; training ends with identical weights.

{ranks}

Replies are not drawn under tensor parallelism. Pipeline, expert, sequence and context parallelism are refused before
training ([why](design/0014-which-ranks-are-asked.md)); replicas that have grown apart (LocalSGD, DiLoCo) are asked on
rank 0, and the record says so. XPU and NPU have been tried by nobody.

## Versions

The trainings above:

{versions}

{suites}

{oldest}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """The results for one trainer in one environment.

    Attributes:
        settings: Arguments that turn the trainer into another algorithm, as Python source.
        family: Kind of model and of chat template.
        weights: The weights that are trained: all of them, or which adapter.
        attaches: Whether the callback ran from the first observation to the end; where it did not, the other results
            are `None`.
        refused: The sentence with which the trainer is refused, where it is.
        versions: Versions of Python and of the packages.
    """

    trainer: str
    settings: str
    family: str
    weights: str
    versions: dict[str, str]
    attaches: bool
    measures: bool | None = None
    identical: bool | None = None
    resumes: bool | None = None
    stops: bool | None = None
    refused: str | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """One word a column."""
        if self.refused is not None:
            return ("refused", "–", "–", "–", "–")
        found = (self.attaches, self.measures, self.identical, self.resumes)
        return (*("yes" if value else "no" for value in found), "yes" if self.stops else "ignored, reported")


@dataclass(frozen=True, slots=True)
class Layout:
    """The results for one layout of training over several ranks.

    Attributes:
        ranks: Number of ranks.
        killed: Whether, when one rank is killed, all ranks end as without driftwatch; `None` where that was not run.
        identical: Whether the final weights are identical with and without driftwatch; like the results below, `None`
            where the layout could not be trained.
        figures: Whether the first observation equals that of one process.
        raises: Whether a rank that raises costs one observation and nothing else.
        slow: Whether a slow rank costs one observation and nothing else.
        disk: Whether a full disk changes nothing about training.
        versions: Versions of the packages.
        why: The reason for each "no".
    """

    layout: str
    ranks: int
    versions: dict[str, str]
    killed: bool | None = None
    why: str = ""
    identical: bool | None = None
    figures: bool | None = None
    raises: bool | None = None
    slow: bool | None = None
    disk: bool | None = None

    @property
    def cells(self) -> list[str]:
        """One word a column."""
        found = (self.identical, self.figures, self.raises, self.slow, self.killed, self.disk)
        return ["not run" if value is None else "yes" if value else "no" for value in found]


@dataclass(frozen=True, slots=True)
class Suite:
    """How the default suite ended in one environment: numbers of tests, and versions of Python and of the packages."""

    passed: int
    failed: int
    error: int
    skipped: int
    versions: dict[str, str]


def read_results(folder: Path = RESULTS) -> dict[str, list[Row]]:
    """The rows by environment, in the order of `TRAINERS`; an environment that was not run is absent."""
    order = [support.trainer for support in TRAINERS]
    found = {}
    for name in ENVIRONMENTS:
        path = folder / f"{name}.jsonl"
        if path.is_file():
            rows = [msgspec.json.decode(line, type=Row) for line in path.read_bytes().splitlines() if line.strip()]
            found[name] = sorted(
                rows, key=lambda row: (order.index(row.trainer), row.settings, row.family, row.weights)
            )
    return found


def trainers_page(folder: Path = RESULTS) -> str:
    """The text of docs/trainers.md, from the table in the code and the results of real runs."""
    results = read_results(folder)
    trl, by_template = template_table()
    tables = {
        "trl": [trl],
        "by_template": _table(list(TEMPLATE_HEAD), by_template),
        "by_trainer": _by_trainer(results),
        "by_model": _by_model(results),
        "ranks": _by_layout(folder),
        "versions": _versions(results),
        "suites": _suites(folder),
        "oldest": [OLDEST_RUN if "oldest" in results else OLDEST_NOT_RUN],
    }
    return PAGE.format(**{name: "\n".join(lines) for name, lines in tables.items()})


def _by_trainer(results: dict[str, list[Row]]) -> list[str]:
    supports = {support.trainer: support for support in TRAINERS}
    rows = [
        [
            _trainer_cell(row),
            f"`{supports[row.trainer].module}`",
            _reference(supports[row.trainer]),
            *row.cells,
            trl,
            note,
        ]
        for row in _newest_of_each(results)
        if row.family == PLAIN_FAMILY and row.weights == FULL
        for trl, note in [(row.versions["trl"], supports[row.trainer].note)]
    ]
    return _table(["trainer", "import from", "holds the policy against", *COLUMNS, "TRL", "note"], rows)


def _by_model(results: dict[str, list[Row]]) -> list[str]:
    rows = [
        [row.family, row.weights, _trainer_cell(row), *row.cells]
        for row in sorted(_newest_of_each(results), key=lambda row: (row.family, row.weights))
        if row.family != PLAIN_FAMILY or row.weights != FULL
    ]
    return _table(["model and template", "weights", "trainer", *COLUMNS], rows)


def _by_layout(folder: Path) -> list[str]:
    path = folder / "ranks.jsonl"
    if not path.is_file():
        return ["No result is kept yet."]
    lines = path.read_bytes().splitlines()
    latest = {
        (row.layout, row.ranks): row for row in (msgspec.json.decode(line, type=Layout) for line in lines if line)
    }
    rows = [
        [row.layout, str(row.ranks), *row.cells, row.why.replace("|", "/") or "–"]
        for row in sorted(latest.values(), key=lambda row: (row.layout, row.ranks))
    ]
    head = ["layout", "ranks", "identical", "figures", "raises", "is slow", "is killed", "full disk", 'why "no"']
    versions = {f"{name} {number}" for row in latest.values() for name, number in row.versions.items()}
    return [*_table(head, rows), "", f"With {', '.join(sorted(versions))}."]


def _versions(results: dict[str, list[Row]]) -> list[str]:
    names = list(next(iter(results.values()))[0].versions) if results else []
    rows = [
        [ENVIRONMENTS[name], *(rows[0].versions[package] for package in names), str(len(rows))]
        for name, rows in results.items()
    ]
    return _table(["environment", *names, "rows run"], rows)


def _suites(folder: Path) -> list[str]:
    found = [msgspec.json.decode(path.read_bytes(), type=Suite) for path in sorted(folder.glob("suite-*.json"))]
    if not found:
        return ["No result of the default suite in another environment is kept yet (`make oldest`, `make pythons`)."]
    head = ["The default suite:", ""]
    names = list(found[0].versions)
    rows = [
        [
            *(suite.versions[name] for name in names),
            str(suite.passed),
            str(suite.failed + suite.error),
            str(suite.skipped),
        ]
        for suite in sorted(found, key=lambda suite: tuple(map(int, suite.versions["python"].split("."))))
    ]
    return [*head, *_table([*names, "passed", "failed", "skipped"], rows)]


def _newest_of_each(results: dict[str, list[Row]]) -> list[Row]:
    """One row for each combination that was run, from the first environment that ran it."""
    found: dict[tuple[str, ...], Row] = {}
    for rows in results.values():
        for row in rows:
            found.setdefault((row.trainer, row.settings, row.family, row.weights), row)
    return list(found.values())


def _trainer_cell(row: Row) -> str:
    return f"`{row.trainer}`" + (f" with `{row.settings}`" if row.settings else "")


def _reference(support: TrainerSupport) -> str:
    return "–" if not support.attaches or support.reference == "none" else support.reference


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


@click.command()
def main() -> None:
    """Print the results, one row for each trainer in each environment."""
    lines: list[tuple[str, ...]] = [("environment", "trainer", *COLUMNS)]
    for name, rows in read_results().items():
        for row in rows:
            special = [
                row.settings,
                row.family if row.family != PLAIN_FAMILY else "",
                row.weights if row.weights != FULL else "",
            ]
            label = "; ".join(part for part in (row.trainer, *special) if part)
            lines.append((name, label, *row.cells))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
