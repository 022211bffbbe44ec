"""Who of several ranks asks the trainer's vLLM for what, so that all stay in step."""


def test_every_engine_gets_its_share_and_every_rank_all_replies(quick):
    for rank, outcome in enumerate(quick["engines"]):
        assert outcome["own"]["replies"] == [[n, 10 + n] for n in range(5)]
        assert outcome["own"]["done"] == ["sync", *range(rank, 5, 2)]


def test_an_engine_without_a_question_is_given_the_weights_all_the_same(quick):
    """Handing them over is collective where the model is sharded."""
    first, second = (outcome["one"] for outcome in quick["engines"])
    assert first["replies"] == second["replies"] == [[0, 10]]
    assert (first["done"], second["done"]) == (["sync", 0], ["sync"])


def test_an_engine_that_is_split_over_ranks_is_given_the_same_by_all_of_them(quick):
    for outcome in quick["engines"]:
        assert outcome["split"]["replies"] == [[n, 10 + n] for n in range(5)]
        assert outcome["split"]["done"] == ["sync", *range(5)]


def test_a_server_is_asked_by_the_first_rank_and_heard_by_all(quick):
    first, second = (outcome["server"] for outcome in quick["engines"])
    assert first["replies"] == second["replies"] == [[n, 10 + n] for n in range(5)]
    assert sorted(first["done"][1:]) == list(range(5))
    assert second["done"] == ["sync"]


def test_an_engine_that_fails_on_one_rank_is_given_up_by_all(quick):
    said = "RanksError: asking vLLM was abandoned on all ranks, since it failed on rank 1: RuntimeError: no memory"
    assert [outcome["failure"].startswith(said) for outcome in quick["engines"]] == [True, True]


def test_an_engine_that_cannot_sleep_again_on_one_rank_is_given_up_by_all(quick):
    """A rank that went back to training alone would leave the others waiting for it."""
    said = "RanksError: putting vLLM back to sleep was abandoned on all ranks, since it failed on rank 1"
    assert [outcome["sleepless"].startswith(said) for outcome in quick["engines"]] == [True, True]
    assert [outcome["after"] for outcome in quick["engines"]] == [[0, 1], [0, 1]]
