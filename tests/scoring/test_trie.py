import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.chat.tokens import shared_length
from driftwatch.scoring.trie import Request, chain_row, count_naive, count_unique, families, tree_row

few_tokens = st.lists(st.integers(0, 2), min_size=1, max_size=6).map(tuple)
requests_st = st.builds(Request, few_tokens, st.lists(few_tokens, min_size=1, max_size=6).map(tuple))


def ancestors(row, node):
    """What the mask lets a node see, spelled out: the tokens of all j with j <= node < end[j]."""
    return tuple(row.ids[j] for j in range(node + 1) if node < row.ends[j])


@given(requests_st, st.data())
def test_every_continuation_is_predicted_from_exactly_its_own_beginning(request, data):
    stem = data.draw(st.integers(0, len(request.prompt) - 1))
    row = tree_row(request, stem)
    for tokens, path in zip(request.continuations, row.paths, strict=True):
        assert len(path) == len(tokens)
        for n, edge in enumerate(path):
            node = row.edge_nodes[edge]
            assert row.edge_tokens[edge] == tokens[n]
            assert ancestors(row, node) == (request.prompt + tokens[:n])[stem:]
            assert row.depths[node] == len(request.prompt) + n - 1


@given(requests_st)
def test_a_row_holds_each_distinct_beginning_once(request):
    assert len(tree_row(request, 0).ids) == count_unique([request])


@given(requests_st)
def test_every_node_from_the_last_prompt_token_on_is_read(request):
    row = tree_row(request, 0)
    assert set(row.edge_nodes) == set(range(row.first_read, len(row.ids)))


@given(requests_st)
def test_chains_compute_each_continuation_alone(request):
    rows = [chain_row(request.prompt, tokens) for tokens in request.continuations]
    assert sum(len(row.ids) for row in rows) == count_naive([request])
    for tokens, row in zip(request.continuations, rows, strict=True):
        assert row.ids == (request.prompt + tokens)[:-1]
        assert tuple(row.edge_tokens[e] for e in row.paths[0]) == tokens


def test_continuations_with_a_common_beginning_share_nodes_and_predictions():
    row = tree_row(Request((7, 8), ((1, 2, 3), (1, 2, 4), (5,))), 1)
    assert row.ids == (8, 1, 2)  # 3, 4 and 5 are only predicted
    assert sorted(zip(row.edge_nodes, row.edge_tokens, strict=True)) == [(0, 1), (0, 5), (1, 2), (2, 3), (2, 4)]
    assert row.paths[0][:2] == row.paths[1][:2]


def test_a_stem_that_covers_the_prompt_is_refused():
    with pytest.raises(ValueError, match="at least one of 2 prompt tokens; found 2"):
        tree_row(Request((1, 2), ((3,),)), 2)


@given(st.lists(requests_st, min_size=1, max_size=40))
def test_families_cover_every_request_once_with_a_true_and_proper_beginning(requests):
    found = families(requests)
    assert sorted(i for family in found for i in family.members) == list(range(len(requests)))
    for stem, members in found:
        for i in members:
            assert requests[i].prompt[: len(stem)] == stem
            assert len(stem) < len(requests[i].prompt)


def test_two_kinds_of_questions_get_their_own_stems():
    chat, two_sided, verdict = tuple(range(20)), tuple(range(100, 112)), tuple(range(200, 212))
    requests = [Request((*chat, *kind, 300 + i, 7), ((1,),)) for kind in (two_sided, verdict) for i in range(30)]
    assert {family.stem for family in families(requests)} == {chat + two_sided, chat + verdict}


def test_a_longer_stem_for_few_requests_is_not_worth_a_pass():
    few = [Request((1, 2, 3, 40 + i), ((1,),)) for i in range(7)]
    requests = few + [Request((1, 9, 50 + i), ((1,),)) for i in range(7)]
    assert {family.stem for family in families(requests)} == {(1,)}


def test_one_request_has_no_stem():
    assert families([Request((1, 2, 3), ((4,),))])[0].stem == ()


def test_unique_positions_of_a_known_case():
    requests = [Request((1, 2), ((3, 4), (3, 5), (6,))), Request((1, 9), ((3,),))]
    # 1, 12, 123, 19: the shared first token once, the last token of a continuation never
    assert count_unique(requests) == 4
    assert count_naive(requests) == 3 + 3 + 2 + 2


@given(st.lists(requests_st, min_size=1, max_size=10))
def test_unique_positions_equal_the_number_of_distinct_beginnings(requests):
    beginnings = {
        (r.prompt + c)[:end] for r in requests for c in r.continuations for end in range(1, len(r.prompt + c))
    }
    assert count_unique(requests) == len(beginnings)


@given(few_tokens, few_tokens)
def test_shared_length_is_the_longest_common_beginning(a, b):
    n = shared_length(a, b)
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]
