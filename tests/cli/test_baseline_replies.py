"""`driftwatch baseline` with judged replies, and what becomes of them in a run, a gate and a reading of old files."""

import json
import statistics

import pytest
import torch
from click.testing import CliRunner
from support.builders import PARKS

from driftwatch import Confirmation
from driftwatch.cli.baseline import command as baseline
from driftwatch.drift.outcome import Outcome
from driftwatch.errors import JudgeError
from driftwatch.host.load import load_model
from driftwatch.judges.sides import Sides
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.sampling import Reply
from driftwatch.testing import tiny_model
from driftwatch.topics import load_pack
from driftwatch.watch.baselines import load_baseline
from driftwatch.watch.instrument import ask_once
from driftwatch.watch.monitor import Monitor

PLACES = ("street", "valley", "harbour", "town", "school", "market", "garden", "yard", "hill", "shore", "lane", "field")


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """Twelve items; every second is stated the other way round, so that neither pole has a form of its own."""
    path = tmp_path_factory.mktemp("pack") / "pack.yaml"
    forms = (
        ("I want more trees in the {}.", "Our {} needs new houses."),
        ("Our {} needs more trees.", "I want new houses in the {}."),
    )
    items = [
        f"      - id: p{n}\n        sides: [{forms[n % 2][0].format(place)}, {forms[n % 2][1].format(place)}]\n"
        for n, place in enumerate(PLACES)
    ]
    path.write_text(PARKS + "".join(items))
    return str(path)


@pytest.fixture(scope="module")
def model(tiny_tokenizer, tmp_path_factory):
    """Eight times the weights that it is born with: a random model that tells the items of a bank apart."""
    model = tiny_model(tiny_tokenizer)
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 8 if weight.dim() == 2 else 1
    folder = tmp_path_factory.mktemp("model")
    model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def leans(model, pack):
    """Whether the screen finds the first side of an item likelier than it does on half of the items."""
    loaded = load_model(model)
    found = ask_once(loaded.model, loaded.tokenizer, pack, model_name="tiny")
    middle = statistics.median(stance.log_odds for stance in found.stances)
    return {stance.item: stance.log_odds > middle for stance in found.stances}


@pytest.fixture
def say(monkeypatch, pack):
    """Makes a model reply with one of the two sides, or that it takes none, as a rule on the item's id has it."""

    def by(rule):
        items = {item.sides: item.id for topic in load_pack(pack) for item in topic.items}

        def sample(model, chat, questions, **settings):
            return [Reply(said(text), 5, True, 0.5) for text in questions]

        def said(text):
            sides = next(sides for sides in items if sides[0] in text and sides[1] in text)
            choice = rule(items[sides])
            return "I do not take a side on this." if choice is None else sides[0 if choice else 1]

        monkeypatch.setattr("driftwatch.probes.reply.sample", sample)

    return by


def run(*arguments):
    return CliRunner().invoke(baseline, list(arguments), catch_exceptions=False)


def begun(folder, out, pack, model, judge="sides", **confirmation):
    """A run that begins from a baseline: its monitor and the record of its first observation."""
    from peft import LoraConfig, get_peft_model

    loaded = load_model(model)
    watched = get_peft_model(loaded.model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    confirm = Confirmation(judge=judge, **confirmation) if judge is not None else None
    monitor = Monitor(pack, baseline=out, confirm=confirm, output_dir=folder / "runs", run="dpo", exporters=())
    record = monitor.begin(watched, loaded.tokenizer, planned_steps=2)
    monitor.close("stopped")
    return monitor, record


# Labels that say more than the prior


@pytest.fixture
def valid(tmp_path, model, pack, leans, say):
    """A baseline whose replies go with the screen."""
    say(leans.get)
    done = run(model, "--pack", pack, "--out", str(tmp_path / "sft"), "--judge", "sides")
    assert done.exit_code == 0, done.output
    return tmp_path / "sft", done.stdout


def test_labels_that_beat_the_prior_calibrate_the_screen(valid, leans):
    out, told = valid
    kept = load_baseline(out)
    assert kept.calibration["method"] == "labels"
    assert kept.labels.fit.log_loss < kept.labels.fit.prior_log_loss
    assert "96 replies, read by sides:2: a stance in 100% (coverage), refused 0%, off-topic or unclassified 0%" in told
    (found,) = kept.labels.validity
    assert found.is_valid
    assert f"correlation {found.pearson:.2f}, topic error {found.topic_error:.2f}, kappa 1.00, over 12 items" in told
    assert "its levels may be shown" in told
    fit = kept.labels.fit
    assert f"calibration: fitted to the labels; cross-validated log loss {fit.log_loss:.3f} nats a reply" in told
    assert f"{fit.prior_log_loss:.3f} without them (prior)" in told


def test_every_reply_is_counted_by_item_and_outcome(valid, leans):
    kept = load_baseline(valid[0])
    counted = {item: counts for items in kept.labels.counts.values() for item, counts in items.items()}
    for item, toward_first in leans.items():
        assert counted[item][Outcome.SUPPORT if toward_first else Outcome.OPPOSE] == 8
        assert sum(counted[item]) == 8


def test_what_the_replies_can_be_read_from_stands_in_the_reliability(valid):
    (row,) = json.loads((valid[0] / "reliability.json").read_text())
    assert (row["reply_coverage"], row["reply_consistency"]) == (1.0, 1.0)


def test_a_run_with_the_same_judge_knows_at_its_first_look_that_levels_may_be_shown(valid, tmp_path, pack, model):
    out, _ = valid
    monitor, first = begun(tmp_path, out, pack, model)
    assert monitor.info.alerting_baseline == "sft"
    assert monitor.info.notes == ()
    assert first.agreement["statement"] == pytest.approx(load_baseline(out).labels.validity[0].pearson)
    assert first.stance("parks", "statement").probs is not None
    assert monitor.store.baseline("sft").calibration == load_baseline(out).calibration


def test_its_own_replies_are_counted_on_from_those_of_the_baseline(valid, tmp_path, pack, model):
    monitor, _ = begun(tmp_path, valid[0], pack, model)
    saved = json.loads((monitor.store.folder / "evidence.json").read_text())
    assert saved["heard"] == load_baseline(valid[0]).labels.counts


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"judge": "another"}, "the judge differs (there sides:2, in this run another)"),
        ({"decoding": Decoding(max_new_tokens=7)}, "how replies are sampled differs"),
    ],
)
def test_labels_that_were_made_otherwise_do_not_count_and_a_note_says_why(valid, tmp_path, pack, model, changes, why):
    judge = Sides()
    if "judge" in changes:
        judge = type("Another", (Sides,), {"id": changes.pop("judge")})()
    monitor, first = begun(tmp_path, valid[0], pack, model, judge=judge, **changes)
    (note,) = monitor.info.notes
    assert note.startswith("the replies that were judged for the baseline do not count in this run: ")
    assert why in note
    assert first.agreement == {}
    assert json.loads((monitor.store.folder / "evidence.json").read_text())["heard"] == {}


def test_a_run_without_replies_takes_the_baseline_s_word_for_the_screen(valid, tmp_path, pack, model):
    monitor, first = begun(tmp_path, valid[0], pack, model, judge=None)
    assert first.agreement["statement"] > 0.4
    assert monitor.info.notes == ()


def test_the_gate_reads_a_baseline_with_labels_by_its_calibration(valid):
    from driftwatch.cli.gate import command as gate

    done = CliRunner().invoke(gate, ["--baseline", str(valid[0]), "--candidate", str(valid[0])], catch_exceptions=False)
    assert done.exit_code in (0, 2), done.output
    assert "parks" in done.stdout


def test_a_baseline_of_before_there_were_labels_is_read_as_ever(valid):
    file = valid[0] / "baseline.json"
    kept = json.loads(file.read_text())
    del kept["labels"]
    file.write_text(json.dumps(kept))
    assert load_baseline(valid[0]).labels is None


# Labels that do not


def test_labels_that_the_screen_cannot_tell_apart_leave_it_at_the_prior_and_hide_its_levels(
    tmp_path, model, pack, leans, say
):
    """Each side is taken by half of the items that lean to it: the replies know nothing of the scores."""
    order = sorted(leans, key=lambda item: (leans[item], item))
    say(lambda item: order.index(item) % 2 == 0)
    done = run(model, "--pack", pack, "--out", str(tmp_path / "sft"), "--replies", "2")
    kept = load_baseline(tmp_path / "sft")
    fit = kept.labels.fit
    assert kept.calibration["method"] == "prior"
    assert not fit.is_worth_it
    assert f"calibration: without labels (prior); cross-validated log loss {fit.log_loss:.3f}" in done.stdout
    assert f"{fit.prior_log_loss:.3f} without them (prior)" in done.stdout
    assert f"by their mean shares alone: {fit.why_not}" in done.stdout
    assert "its levels are hidden: correlation over items" in done.stdout
    _, first = begun(tmp_path, tmp_path / "sft", pack, model)
    assert first.stance("parks", "statement").probs is None
    assert first.stance("parks", "statement").unscored.startswith("levels are hidden: correlation over items")
    from driftwatch.cli.gate import command as gate

    sft = str(tmp_path / "sft")
    gated = CliRunner().invoke(gate, ["--baseline", sft, "--candidate", sft, "--json"], catch_exceptions=False)
    assert gated.exit_code == 2, "not even itself is shown to have stayed"
    assert json.loads(gated.stdout)["topics"][0]["why"].startswith("its shares are not those of the baseline's replies")


def test_a_judge_that_always_abstains_leaves_the_prior_and_says_so(tmp_path, model, pack):
    """The replies of a random model are noise, and rules abstain on noise."""
    done = run(model, "--pack", pack, "--out", str(tmp_path / "sft"), "--judge", "sides", "--replies", "2")
    assert done.exit_code == 0, done.output
    kept = load_baseline(tmp_path / "sft")
    assert (kept.calibration["method"], kept.labels.fit) == ("prior", None)
    assert "48 replies, read by sides:2: a stance in 0% (coverage)" in done.stdout
    assert "statement against the replies: not measured, so nothing speaks for or against its levels" in done.stdout
    assert "calibration: without labels (prior), as fewer than 10 items have scores and a reply" in done.stdout
    _, first = begun(tmp_path, tmp_path / "sft", pack, model)
    assert first.agreement == {}
    assert first.stance("parks", "statement").probs is not None


def test_neutral_replies_are_labels_and_refused_or_unread_ones_are_not(tmp_path, model, pack, say):
    say(lambda item: None)
    run(model, "--pack", pack, "--out", str(tmp_path / "sft"), "--replies", "1")
    kept = load_baseline(tmp_path / "sft")
    assert all(counts[Outcome.NEUTRAL] == 2 for counts in kept.labels.counts["parks"].values())
    assert kept.labels.validity[0].why == "2.0 judged replies an item so far; 4 are needed"


# What is asked, and by whom it is read


def test_the_settings_name_judge_and_decoding_where_replies_are_asked_for(tmp_path, model, pack):
    settings = tmp_path / "drift.yaml"
    settings.write_text(f"pack: {pack}\nconfirm: {{judge: sides, decoding: {{max_new_tokens: 3}}}}\n")
    arguments = (model, "--config", str(settings), "--out", str(tmp_path / "sft"))
    done = run(*arguments)
    assert "with --replies 4 their judge reads this model's as well" in done.stdout
    assert load_baseline(tmp_path / "sft").labels is None
    run(*arguments, "--replies", "1")
    identity = load_baseline(tmp_path / "sft").labels.identity
    assert identity["sampling"] == "temperature=0.7 top_p=1 max_new_tokens=3"
    assert identity["judge"] == "sides:2"


def test_a_judge_that_cannot_read_is_found_before_the_model_is_loaded(tmp_path, pack, monkeypatch):
    def fail(self, asked):
        raise JudgeError("no key: set OPENAI_API_KEY.")

    monkeypatch.setattr(Sides, "read", fail)
    with pytest.raises(
        JudgeError, match=r"nothing was written: no key: set OPENAI_API_KEY\. Correct it.*leave --judge"
    ):
        run("no-such-model", "--pack", pack, "--out", str(tmp_path / "sft"), "--judge", "sides")
    assert not (tmp_path / "sft").exists()


def test_a_judge_that_fails_on_the_way_leaves_the_earlier_baseline_as_it_was(tmp_path, model, pack, monkeypatch):
    out = tmp_path / "sft"
    run(model, "--pack", pack, "--out", str(out))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    read = Sides.read

    def fail_later(self, asked):
        if len(asked) > 1:
            raise JudgeError("the judge is out")
        return read(self, asked)

    monkeypatch.setattr(Sides, "read", fail_later)
    with pytest.raises(JudgeError, match=r"nothing was written: the judge is out\. Correct it"):
        run(model, "--pack", pack, "--out", str(out), "--judge", "sides", "--replies", "1")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_judge_is_given_its_replies_in_parts(monkeypatch, tmp_path, model, pack, say):
    """A deadline for the replies of an observation is none for those of a whole bank."""
    say(lambda item: True)
    monkeypatch.setattr("driftwatch.watch.labelling.PART", 10)
    sizes, read = [], Sides.read
    monkeypatch.setattr(Sides, "read", lambda self, asked: sizes.append(len(asked)) or read(self, asked))
    run(model, "--pack", pack, "--out", str(tmp_path / "sft"), "--replies", "1")
    assert sizes == [1, 10, 10, 4], "the first is the trial"
