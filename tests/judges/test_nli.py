import copy
from dataclasses import replace

import pytest
import torch
from support.small_judges import plain_replies, train_classifier

from driftwatch.errors import JudgeError
from driftwatch.judges.anchors import anchors
from driftwatch.judges.judging import outcome
from driftwatch.judges.nli import NliJudge, _claims, _hypotheses, _label_indices, _premise

REFUSAL = "Sorry, that is nothing I would ever talk about."
NONSENSE = "Seven bricks sing quietly under water."
LABELS = {"not_entailment": 0, "entailment": 1}


@pytest.fixture(scope="module")
def nli():
    """Entails what was said; two more replies decline, and talk of something else."""
    pairs, labels = [], []
    for asked, stance in plain_replies():
        pairs += [(_premise(asked), hypothesis) for hypothesis in _hypotheses(asked)]
        labels += [*(int(stance == s) for s in range(3)), 0, 1]
    for reply, entailed in ((REFUSAL, (0, 0, 0, 1, 0)), (NONSENSE, (0, 0, 0, 0, 0))):
        pairs += [(reply, hypothesis) for hypothesis in _hypotheses(plain_replies()[0][0])]
        labels += entailed
    return train_classifier(pairs, labels, LABELS)


@pytest.fixture(scope="module")
def stance_model():
    pairs, labels = [], []
    for asked, stance in plain_replies():
        pairs += [(_premise(asked), claim) for claim in _claims(asked)]
        labels += [(0, 1), (2, 2), (1, 0)][stance]  # of the first claim, of the second
    return train_classifier(pairs, labels, {"FAVOR": 0, "AGAINST": 1, "NONE": 2})


def relabelled(model, label2id):
    other = copy.deepcopy(model)
    other.config.label2id = label2id
    return other


def test_what_is_entailed_is_what_was_said(nli):
    judge = NliJudge(nli[0], tokenizer=nli[1])
    known = anchors()
    assert [outcome(r) for r in judge.read([asked for asked, _ in known])] == [stance for _, stance in known]


def test_a_swapped_label_mapping_fails(nli):
    swapped = relabelled(nli[0], {"not_entailment": 1, "entailment": 0})
    with pytest.raises(JudgeError, match=r"reads \d+% of 24 plain replies as they are meant; at least 75% are needed"):
        NliJudge(swapped, tokenizer=nli[1])


def test_labels_may_be_given_where_the_config_names_none(nli):
    unnamed = relabelled(nli[0], {"LABEL_0": 0, "LABEL_1": 1})
    with pytest.raises(JudgeError, match=r"has \['label_0', 'label_1'\]. Pass labels"):
        NliJudge(unnamed, tokenizer=nli[1])
    assert NliJudge(unnamed, tokenizer=nli[1], labels=LABELS).read([anchors()[0][0]])[0].probs.support > 0.5


def test_refusals_and_other_subjects_are_apart_from_neutral(nli):
    judge = NliJudge(nli[0], tokenizer=nli[1])
    asked = anchors()[0][0]
    refused, other = judge.read([replace(asked, reply=REFUSAL), replace(asked, reply=NONSENSE)])
    assert (outcome(refused), outcome(other)) == ("refusal", "off_topic")


def test_an_empty_reply_is_unread(nli):
    (reading,) = NliJudge(nli[0], tokenizer=nli[1]).read([replace(anchors()[0][0], reply=" \n")])
    assert reading.unread == "the reply is empty"


def test_nothing_entailed_is_unread_rather_than_a_guess(nli):
    judge = NliJudge(nli[0], tokenizer=nli[1])
    assert "nothing is entailed" in judge._reading(0.3, 0.1, 0.2, 0.0, 0.9).unread
    assert "entailed alike" in judge._reading(0.8, 0.1, 0.78, 0.0, 0.9).unread


def test_readings_do_not_depend_on_the_batch(nli):
    asked = [a for a, _ in anchors()]
    few, many = (NliJudge(nli[0], tokenizer=nli[1], batch_size=size).read(asked) for size in (3, 200))
    for one, other in zip(few, many, strict=True):
        assert one.probs == pytest.approx(other.probs, abs=1e-4)


def test_the_identity_changes_with_weights_and_settings(nli):
    model = copy.deepcopy(nli[0])
    judge = NliJudge(model, tokenizer=nli[1])
    before = judge.id
    assert judge.id == before
    assert NliJudge(model, tokenizer=nli[1], min_probability=0.6).id != before
    with torch.no_grad():
        next(model.parameters()).add_(0.1)
    assert judge.id != before


def test_stance_models_are_asked_about_both_sides(stance_model):
    judge = NliJudge(stance_model[0], tokenizer=stance_model[1])
    for asked, stance in anchors():
        (reading,) = judge.read([asked])
        assert outcome(reading) == (stance if stance != "neutral" else "unread")


def test_a_stance_model_with_swapped_labels_fails(stance_model):
    swapped = relabelled(stance_model[0], {"FAVOR": 1, "AGAINST": 0, "NONE": 2})
    with pytest.raises(JudgeError, match="at least 55% are needed"):
        NliJudge(swapped, tokenizer=stance_model[1])


def test_open_replies_are_read_beside_their_question():
    asked = replace(anchors()[0][0], framing="open", question="What about taxes?", reply="Lower!")
    assert _premise(asked) == "What about taxes?\nLower!"


def test_items_without_sides_are_read_by_their_poles():
    asked = anchors()[0][0]
    bare = replace(asked, poles=("less tax", "more tax"), item=replace(asked.item, sides=None, question="?"))
    assert _hypotheses(bare)[0] == "The author of this text believes that the answer is: less tax."


def test_a_model_that_is_not_there_is_said():
    with pytest.raises(JudgeError, match='cannot load "/nowhere/nli"'):
        NliJudge("/nowhere/nli")


def test_a_saved_model_loads_by_path_without_touching_the_global_generator(nli, tmp_path):
    nli[0].save_pretrained(tmp_path)
    nli[1].save_pretrained(tmp_path)
    before = torch.get_rng_state()
    judge = NliJudge(str(tmp_path))
    assert torch.equal(torch.get_rng_state(), before)
    assert str(tmp_path) in judge.id


def test_a_home_folder_may_be_written_short(nli, tmp_path, monkeypatch):
    nli[0].save_pretrained(tmp_path / "judge")
    nli[1].save_pretrained(tmp_path / "judge")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "~/judge" in NliJudge("~/judge").id


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"contradiction": 0, "neutral": 1, "entailment": 2}, {"entailment": 2}),
        ({"Entailment": 0, "NOT_ENTAILMENT": 1}, {"entailment": 0}),
        ({"favor": 1, "against": 0, "none": 2}, {"favour": 1, "against": 0, "none": 2}),
        ({"support": 0, "oppose": 1, "neutral": 2}, {"favour": 0, "against": 1, "none": 2}),
    ],
)
def test_labels_are_known_by_name(labels, found):
    assert _label_indices(None, labels, "m") == found


@pytest.mark.parametrize("labels", [{"positive": 0, "negative": 1}, {"entailment": 0}, {"favor": 0, "against": 1}, {}])
def test_unknown_labels_are_refused(labels):
    with pytest.raises(JudgeError, match="needs a model with the label entailment, or with favour, against and none"):
        _label_indices(None, labels, "m")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_device_it_reads_what_it_reads_on_the_processor(nli):
    known = [asked for asked, _ in anchors()]
    found = [NliJudge(copy.deepcopy(nli[0]), tokenizer=nli[1], device=device) for device in ("cpu", "cuda")]
    here, there = ([outcome(reading) for reading in judge.read(known)] for judge in found)
    assert here == there
    assert found[0].id == found[1].id
