"""One rank does something of its own: all learn of it, training goes on, and no record mixes observations."""

import pytest

SCREEN_ONLY = [[0, 0, []], [1, 1, []], [2, 2, []], [3, 3, []]]


def trainings(outcomes, *, apart_from=()):
    """By name, what each rank has of a training that must end like the one without driftwatch."""
    for outcome in outcomes:
        assert "error" not in outcome, outcome["error"]
        expected = outcome["plain"]["step"], outcome["plain"]["weights"]
        for name, found in outcome.items():
            if isinstance(found, dict) and name not in apart_from:
                assert (found["step"], found["weights"]) == expected, name
                yield name, found


def test_a_callback_on_one_rank_only_watches_nothing_and_says_on_which_ranks_it_is_missing(quick):
    first, second = quick["one_rank_watches"]
    assert len(list(trainings((first, second)))) == 8
    (said,) = first["on 0"]["said"]
    assert "nothing is watched from here on, and training goes on" in said
    assert "rank 1 did not answer within 1 s" in said
    assert "give DriftCallback to the Trainer on every rank" in said
    assert second["on 0"]["said"] == first["on 1"]["said"] == []
    assert "rank 0 did not begin to watch within 1 s" in second["on 1"]["said"][0]
    assert first["on 0"]["looks"] == first["on 1"]["looks"] == []
    assert first["looks"] == SCREEN_ONLY, "the next training, in which all ranks watch, is watched"


def test_the_environment_of_rank_zero_decides_for_all_ranks(quick):
    outcomes = quick["switched_off"]
    assert len(list(trainings(outcomes))) == 8
    for outcome in outcomes:
        assert outcome["rank 0"]["looks"] == []
        assert outcome["rank 1"]["looks"] == SCREEN_ONLY
        assert outcome["rank 0 later"]["looks"] == SCREEN_ONLY[:2]


def test_a_run_goes_on_on_all_ranks_where_only_rank_zero_has_its_folder(quick):
    outcomes = quick["own_disks"]
    assert len(list(trainings(outcomes))) == 4
    for outcome in outcomes:
        assert outcome["looks"] == [*SCREEN_ONLY, [4, 4, []]]
        assert not outcome["of rank 1"]


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("afterwards", [False, True])
def test_a_probe_that_fails_on_one_rank_costs_that_look_on_all(quick, who, afterwards):
    """Before it has asked, while the others wait for it, or after, when its rank is ahead of them."""
    for rank, outcome in enumerate(quick["parts_fail"]):
        found = dict(trainings((outcome,), apart_from=("action 0 False", "action 1 False")))[
            f"probe {who} {afterwards}"
        ]
        whole, failed = [look for look in found["looks"] if not look[2]], [look for look in found["looks"] if look[2]]
        assert whole == [[0, 0, []], [1, 1, []], [3, 3, []]]
        assert failed[0][:2] == [2, 2]
        assert "RuntimeError: no memory on this rank" in failed[0][2][0]
        (said,) = found["said"]
        assert "the observation at step 2 failed, training goes on" in said
        assert rank == who or f"it failed on rank {who}" in said or rank == 0


@pytest.mark.parametrize("who", [0, 1])
def test_an_action_that_fails_on_one_rank_is_a_failure_on_all_and_later_looks_go_on(quick, who):
    for outcome in quick["parts_fail"]:
        looks = outcome[f"action {who} True"]["looks"]
        assert [look[:2] for look in looks] == [[0, 0], [1, 1], [2, 1], [3, 2], [4, 3]]
        assert [bool(look[2]) for look in looks] == [False, False, True, False, False]
        assert f"it failed on rank {who}: ConnectionError: the chat room is down" in looks[2][2][0]


@pytest.mark.parametrize("who", [0, 1])
def test_an_action_that_stops_training_on_one_rank_stops_it_on_all(quick, who):
    assert [outcome[f"action {who} False"]["step"] for outcome in quick["parts_fail"]] == [1, 1]


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("place", ["attach", "_make_room", "is_due", "_observe", "is_called_for"])
def test_a_rank_that_fails_between_two_exchanges_is_waited_for_by_nobody(quick, place, who):
    for rank, outcome in enumerate(quick["fails_between"]):
        found = dict(trainings((outcome,)))[f"{place} {who}"]
        assert not [text for text in found["said"] if "did not answer" in text], found["said"]
        assert rank == who or all(f"it failed on rank {who}" in text for text in found["said"] if "failed" in text)
        whole = [step for _, step, reasons in found["looks"] if not reasons]
        lost = set() if place in ("attach", "is_called_for") else {2}
        assert whole == [step for step in range(4) if step not in lost]


def test_a_judge_that_fails_costs_the_replies_of_that_look_only(quick):
    for outcome in quick["parts_fail"]:
        looks = outcome["judge"]["looks"]
        assert [look[:2] for look in looks] == [[0, 0], [1, 1], [2, 2], [3, 3]]
        assert sum(bool(look[2]) for look in looks) == 1


def test_a_judge_that_is_slow_is_waited_for_shortly_and_its_replies_count_later(quick):
    outcomes = quick["judge_is_slow"]
    assert len(list(trainings(outcomes))) == 2
    for outcome in outcomes:
        found = outcome
        assert found["weights"] == found["plain"]["weights"]
        assert [look[:2] for look in found["looks"]] == [[n, n] for n in range(5)]
        assert not any(look[2] for look in found["looks"])
        assert found["draws"][:3] == [0, 0, 0], "nothing was read before the judge was released"
        assert found["draws"][-1] > 0, "and all of it after"


def test_replicas_that_have_grown_apart_are_asked_on_rank_zero_and_the_record_says_so(quick):
    note = "the weights of rank 1 differ from those of rank 0, so the replica of rank 0 alone was asked"
    for outcome in quick["apart"]:
        assert outcome["from the start"]["notes"] == [[note], [note]]
        assert outcome["later"]["notes"] == [[], [note]]
        assert outcome["from the start"]["moved"] == outcome["later"]["moved"] == 0.0


def test_models_that_need_other_ranks_in_unknown_ways_are_refused_on_all_ranks(quick):
    first, second = quick["refused"]
    assert first == second
    assert "ranks hold different parts of the model: other parameters on rank 1" in first["pipeline"]
    assert "sends data from rank to rank (alltoall_base)" in first["tokens"]
    assert "talks between ranks (allreduce) in a way that driftwatch does not know" in first["unknown"]
    assert all(text.startswith("ConfigError: ") for text in first.values())


def test_whatever_call_fails_on_whatever_rank_training_goes_on_and_no_record_mixes_looks(quick):
    assert_unharmed(quick["hostile"], num_seeds=6)


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(0, 100, 20))
def test_a_hundred_failures_at_random_calls(on_ranks, first):
    seeds = f"{first},{first + 20}"
    _, found = on_ranks(("hostile",), timeout=900, DRIFTWATCH_TEST_SEEDS=seeds)
    assert_unharmed(found["hostile"], num_seeds=20)


def assert_unharmed(outcomes, *, num_seeds):
    assert len(list(trainings(outcomes))) == 2 * (num_seeds + 1)
    first, second = outcomes
    seeds = [name for name in first if name.startswith("seed")]
    # Drawn of what this rank calls in every such training, so that only a fault before it can keep it from being hit.
    missed = [first[name]["fault"] for name in seeds if not first[name]["struck"]]
    assert len(missed) <= 0.1 * num_seeds, missed
    assert any(first[name]["looks"] for name in seeds)
    for name in seeds:
        whole = [str(look) for look, _, reasons in first[name]["looks"] if not reasons and look > 0]
        for look in whole:
            asked = [outcome[name]["asked"].get(look) for outcome in outcomes]
            assert asked[0] is not None or first[name]["refused"], (name, look)
            assert asked[0] == asked[1], (
                f"{name} ({first[name]['fault']}): observation {look} booked replies to other questions"
            )
    assert first.keys() == second.keys()


def test_replies_that_wait_when_training_is_over_are_waited_for_by_all_ranks(on_ranks):
    """Only rank 0 knows of them, and it does not observe alone at weights that are about to be replaced."""
    _, found = on_ranks(("judge_reads_at_the_end",))
    outcomes = found["judge_reads_at_the_end"]
    assert len(list(trainings(outcomes))) == 2
    for outcome in outcomes:
        assert not [said for said in outcome["said"] if "did not answer" in said or "failed" in said]
        assert outcome["looks"] == [*SCREEN_ONLY[:3], [3, 2, []]]
