"""The engine against scoring each prompt + continuation alone, and what it promises about an observation."""

import numpy as np
import pytest
import torch
from transformers import AttentionInterface

from driftwatch.errors import ProbeError
from driftwatch.scoring.plan import plan
from driftwatch.scoring.score import Request, dry_look, score

EXACT = 1e-4  # nats, for the sum over a continuation, in float32
ROOMY = {"max_tokens": 128, "max_bytes": 2**24}  # a fifth of a tiny model is no room at all


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3", "mistral", "mixtral", "gpt2"])
def test_attention_models_are_scored_exactly_with_every_shared_token_once(
    kind, attention, build_model, requests, score_alone, largest_difference
):
    """Gemma3 alternates sliding and full attention, Mistral slides everywhere; windows are shorter than prompts."""
    model = build_model(kind, attention)
    planned = plan(requests, model, **ROOMY)
    assert planned.path == "tree"
    assert largest_difference(score(model, planned).log_likelihoods, score_alone(model, requests)) < EXACT


@pytest.mark.parametrize(("kind", "path"), [("lfm2", "cache"), ("qwen3_next", "cache"), ("mamba", "steps")])
def test_models_with_recurrent_states_are_scored_exactly_with_every_prompt_once(
    kind, path, build_model, requests, score_alone, largest_difference, repeats_states
):
    model = build_model(kind)
    planned = plan(requests, model, **ROOMY)
    if repeats_states:
        assert planned.path == path
        assert planned.tokens_computed < 0.6 * planned.tokens_naive
    assert largest_difference(score(model, planned).log_likelihoods, score_alone(model, requests)) < EXACT


def test_attention_that_takes_no_mask_is_found_out_and_goes_by_the_cache(
    build_model, requests, score_alone, largest_difference
):
    """As FlashAttention does: causal whatever the mask says, keys and queries aligned at their ends."""
    model = build_model("llama")
    AttentionInterface.register("causal_only", _causal_only)
    model.set_attn_implementation("causal_only")
    planned = plan(requests, model, **ROOMY)
    assert planned.path == "cache"
    assert largest_difference(score(model, planned).log_likelihoods, score_alone(model, requests)) < EXACT


def _causal_only(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **kwargs):
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    queries, keys = query.shape[2], key.shape[2]
    causal = torch.ones(queries, keys, dtype=torch.bool).tril(diagonal=keys - queries)
    out = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=causal, scale=scaling)
    return out.transpose(1, 2).contiguous(), None


class WithoutCache(torch.nn.Module):
    """A causal model of somebody's own: all logits, no cache, no mask, no positions."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.config = inner.config

    def get_input_embeddings(self):
        return self.inner.get_input_embeddings()

    def forward(self, input_ids, use_cache=None, return_dict=None):
        return self.inner(input_ids)


def test_a_model_without_cache_mask_or_trimming_goes_by_the_plain_path(
    build_model, requests, score_alone, largest_difference
):
    inner = build_model("llama")
    model = WithoutCache(inner)
    planned = plan(requests, model, **ROOMY)
    assert planned.path == "plain"
    assert not planned.way.trims
    assert largest_difference(score(model, planned).log_likelihoods, score_alone(inner, requests)) < EXACT


def test_an_adapter_is_part_of_what_is_scored(build_model, requests, score_alone, largest_difference):
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(build_model("llama"), peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    model.eval()
    planned = plan(requests, model, **ROOMY)
    with_adapter = score(model, planned).log_likelihoods
    assert planned.path == "tree"
    assert largest_difference(with_adapter, score_alone(model, requests)) < EXACT
    with model.disable_adapter():
        without = score(model, planned).log_likelihoods
        assert largest_difference(without, score_alone(model, requests)) < EXACT
    assert largest_difference(with_adapter, without) > 0.1


def test_a_soft_prompt_is_scored_exactly_too(build_model, requests, score_alone, largest_difference):
    """PEFT puts virtual tokens before every row, which no tree mask knows of: the trial finds out."""
    peft = pytest.importorskip("peft")
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    model = peft.get_peft_model(build_model("llama"), config).eval()
    planned = plan(requests, model, **ROOMY)
    expected = [np.array(values) for values in _soft_prompt_alone(model, requests)]
    assert largest_difference(score(model, planned).log_likelihoods, expected) < EXACT


def _soft_prompt_alone(model, requests):
    with torch.no_grad():
        for prompt, continuations in requests:
            values = []
            for tokens in continuations:
                logits = model(torch.tensor([(prompt + tokens)[:-1]])).logits[0, -len(tokens) :]
                log_p = logits.double().log_softmax(dim=-1)
                values.append(log_p[range(len(tokens)), list(tokens)].sum().item())
            yield values


def test_a_model_in_bfloat16_keeps_the_fast_path_and_stays_near_float32(
    build_model, requests, score_alone, largest_difference
):
    model = build_model("llama")
    certain = score_alone(model, requests)
    model.bfloat16()
    planned = plan(requests, model, **ROOMY)
    assert planned.path == "tree"
    assert largest_difference(score(model, planned).log_likelihoods, certain) < 0.5


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_autocast_is_respected_and_keeps_the_fast_path(attention, build_model, requests, largest_difference):
    model = build_model("llama", attention)
    planned = plan(requests, model, **ROOMY)
    full = score(model, planned).log_likelihoods
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert plan(requests, model, **ROOMY).path == "tree"
        low = score(model, planned).log_likelihoods
    assert 0 < largest_difference(full, low) < 0.5


def test_two_looks_at_the_same_weights_are_equal_to_the_last_bit(build_model, requests):
    model = build_model("llama")
    planned = plan(requests, model, **ROOMY)
    for first, second in zip(score(model, planned)[0], score(model, planned)[0], strict=True):
        np.testing.assert_array_equal(first, second)


def test_what_went_through_the_model_is_what_is_reported(build_model, requests):
    model = build_model("llama")
    planned = plan(requests, model, **ROOMY)
    shapes = []
    model.get_input_embeddings().register_forward_hook(lambda module, args, out: shapes.append(args[0].shape))
    scored = score(model, planned)
    assert sum(shape.numel() for shape in shapes) == scored.tokens_computed == planned.tokens_computed
    assert len(shapes) == planned.num_forwards
    assert all(shape.numel() <= ROOMY["max_tokens"] for shape in shapes)


def test_a_bank_of_questions_costs_hardly_more_than_its_unique_tokens(build_model, make_requests):
    requests = make_requests(count=500, seed=3)
    planned = plan(requests, build_model("llama"), max_tokens=256, max_bytes=2**26)
    assert planned.tokens_naive > 4 * planned.tokens_unique
    assert planned.tokens_computed <= 1.05 * planned.tokens_unique


def test_results_come_to_the_host_in_one_transfer(build_model, requests, monkeypatch):
    model = build_model("llama")
    planned = plan(requests, model, **ROOMY)
    transfers = []
    original = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: transfers.append(self.shape) or original(self))
    for name in ("item", "tolist", "numpy"):
        _count_on_device(monkeypatch, name, transfers)
    score(model, planned)
    assert len(transfers) == 2  # `cpu`, and `numpy` of what it returned


def _count_on_device(monkeypatch, name, transfers):
    original = getattr(torch.Tensor, name)
    monkeypatch.setattr(torch.Tensor, name, lambda self: transfers.append(name) or original(self))


def test_a_look_leaves_modes_and_random_state_alone(build_model, requests):
    model = build_model("llama")
    model.model.layers[1].train()
    planned = plan(requests, model, **ROOMY)
    flags = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    score(model, planned)
    assert [module.training for module in model.modules()] == flags
    assert torch.equal(torch.get_rng_state(), state)
    assert all(weight.grad is None for weight in model.parameters())


def test_logits_that_are_not_finite_give_nan_for_their_request_only(build_model, requests, score_alone):
    model = build_model("llama")
    poisoned = 2  # no request has it
    requests[3] = Request((*requests[3].prompt[:-1], poisoned, requests[3].prompt[-1]), requests[3].continuations)
    expected = score_alone(model, requests)
    planned = plan(requests, model, **ROOMY)
    with torch.no_grad():
        model.get_input_embeddings().weight[poisoned] = float("nan")
    found = score(model, planned).log_likelihoods
    assert np.isnan(found[3]).all()
    for index in set(range(len(requests))) - {3}:
        np.testing.assert_allclose(found[index], expected[index], atol=EXACT)


def test_a_library_that_returns_no_logits_is_refused(build_model, requests):
    class Fused(WithoutCache):
        def forward(self, input_ids, **kwargs):
            out = self.inner(input_ids)
            out.logits = None
            return out

    with pytest.raises(ProbeError, match=r"expected logits of shape \(1, 4, vocabulary\) from Fused; found none"):
        plan(requests, Fused(build_model("llama")))


@pytest.mark.parametrize(
    "requests", [[], [Request((), ((1,),))], [Request((1,), ())], [Request((1,), ((2,), ()))]], ids=str
)
def test_nothing_to_ask_is_a_wrong_argument(requests, build_model):
    with pytest.raises(ValueError, match="a plan needs requests, each with a prompt and continuations"):
        plan(requests, build_model("llama"))


class TestPlans:
    """Composition: fixed, nameable, and changed only by asking."""

    @pytest.fixture
    def model(self, build_model):
        return build_model("llama")

    @pytest.fixture
    def planned(self, model, requests):
        return plan(requests, model, **ROOMY)

    def test_planning_again_gives_the_same_digest(self, model, requests, planned):
        assert plan(requests, model, **ROOMY).digest == planned.digest

    def test_other_requests_or_batches_give_another_digest(self, model, requests, planned):
        digests = {
            planned.digest,
            plan(requests[:-1], model, **ROOMY).digest,
            plan(requests, model, max_tokens=64, max_bytes=2**24).digest,
            planned.permuted(np.random.default_rng(0)).digest,
        }
        assert len(digests) == 4

    def test_halving_is_planning_with_half_the_tokens(self, model, requests, planned):
        assert planned.halved().digest == plan(requests, model, max_tokens=64, max_bytes=2**23).digest

    def test_a_plan_like_another_is_made_without_trying_again(self, model, requests, planned):
        forwards = []
        model.get_input_embeddings().register_forward_hook(lambda *_: forwards.append(1))
        assert plan(requests, model, like=planned, **ROOMY).digest == planned.digest
        assert not forwards

    def test_longer_requests_than_those_tried_are_tried_again(self, model, requests):
        """A window of the attention may matter to them only."""
        longest = max(len(request.prompt) for request in requests)
        tried = plan([r for r in requests if len(r.prompt) < longest - 3], model, **ROOMY)
        forwards = []
        model.get_input_embeddings().register_forward_hook(lambda *_: forwards.append(1))
        plan(requests, model, like=tried, **ROOMY)
        assert forwards

    def test_permuted_batches_give_the_same_scores_up_to_noise(self, model, planned, largest_difference):
        other = planned.permuted(np.random.default_rng(0))
        assert largest_difference(score(model, planned)[0], score(model, other)[0]) < EXACT

    def test_a_subset_scores_its_requests_in_the_order_asked(self, model, planned, largest_difference):
        whole, part = score(model, planned)[0], score(model, planned.subset([7, 2]))[0]
        assert largest_difference([whole[7], whole[2]], part) < EXACT

    @pytest.mark.parametrize("kind", ["llama", "lfm2", "mamba"])
    @pytest.mark.parametrize("num_ranks", [2, 3])
    def test_shares_of_ranks_add_up_and_make_equally_many_forward_passes(
        self, kind, num_ranks, build_model, requests, largest_difference
    ):
        model = build_model(kind)
        planned = plan(requests, model, **ROOMY)
        shares = [planned.shard(rank, num_ranks) for rank in range(num_ranks)]
        counts = []
        model.get_input_embeddings().register_forward_hook(lambda *_: counts.append(1))
        found = []
        for share in shares:
            counts.clear()
            found.append(score(model, share)[0])
            assert len(counts) == share.num_forwards
        if planned.path != "steps":  # those make as many as their longest continuation has tokens
            assert len({share.num_forwards for share in shares}) == 1
        merged = [np.nanmean(values, axis=0) for values in zip(*found, strict=True)]
        assert all(np.isfinite(values).sum(axis=0).max() == 1 for values in zip(*found, strict=True))
        assert largest_difference(merged, score(model, planned)[0]) == 0


class TestMemory:
    """What happens when it runs out."""

    @pytest.fixture
    def model(self, build_model):
        return build_model("llama")

    @staticmethod
    def limit(model, tokens):
        """From now on, a forward pass of more tokens is out of memory."""

        def refuse(module, args):
            if args[0].numel() > tokens:
                raise torch.OutOfMemoryError(f"tried {args[0].numel()} tokens")

        model.get_input_embeddings().register_forward_pre_hook(refuse)

    def test_batches_are_halved_and_the_look_goes_on(self, model, requests, largest_difference):
        planned = plan(requests, model, **ROOMY)
        expected = score(model, planned)
        self.limit(model, 70)
        scored = score(model, planned)
        assert scored.num_splits > 0
        assert largest_difference(scored.log_likelihoods, expected.log_likelihoods) < EXACT

    @pytest.mark.usefixtures("needs_repeated_states")
    def test_many_continuations_of_one_prompt_are_halved_too(self, build_model, make_requests, largest_difference):
        model = build_model("lfm2")
        planned = plan(make_requests(count=1), model, **ROOMY)
        assert planned.path == "cache"
        expected = score(model, planned)
        self.limit(model, 30)
        scored = score(model, planned)
        assert scored.num_splits > 0
        assert largest_difference(scored.log_likelihoods, expected.log_likelihoods) < EXACT

    def test_a_single_prompt_that_does_not_fit_is_a_reason_to_skip_the_look(self, model, requests):
        planned = plan(requests, model, **ROOMY)
        self.limit(model, 15)
        with pytest.raises(ProbeError, match=r"out of memory with 1 prompt\(s\) in a forward pass"):
            score(model, planned)

    def test_a_stem_that_does_not_fit_is_a_reason_to_skip_the_look(self, model, requests):
        planned = plan(requests, model, **ROOMY)
        self.limit(model, 3)
        with pytest.raises(ProbeError, match="out of memory with one stem of 8 tokens"):
            score(model, planned)

    def test_ranks_do_not_split_on_their_own(self, model, requests):
        planned = plan(requests, model, **ROOMY)
        self.limit(model, 70)
        with pytest.raises(ProbeError, match="out of memory") as caught:
            score(model, planned, split=False)
        assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)

    def test_a_dry_look_returns_a_plan_that_fits(self, model, requests):
        planned = plan(requests, model, **ROOMY)
        assert dry_look(model, planned) is planned
        self.limit(model, 70)
        fitted = dry_look(model, planned)
        assert score(model, fitted).num_splits == 0
        assert fitted.digest != planned.digest

    def test_a_dry_look_says_when_nothing_fits(self, model, requests):
        planned = plan(requests, model, **ROOMY)
        self.limit(model, 15)
        with pytest.raises(ProbeError, match="an observation does not fit in memory"):
            dry_look(model, planned)

    def test_running_out_while_planning_says_so(self, model, requests):
        self.limit(model, 5)
        with pytest.raises(ProbeError, match="out of memory while scoring one continuation at a time"):
            plan(requests, model)

    def test_the_cpu_allocator_is_understood_and_other_errors_are_not_swallowed(self, model, requests):
        planned = plan(requests, model, **ROOMY)

        def fail(module, args):
            raise RuntimeError("some other failure")

        handle = model.get_input_embeddings().register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match="some other failure"):
            score(model, planned)
        with pytest.raises(RuntimeError, match="some other failure"):
            dry_look(model, planned)
        handle.remove()

        def real_failure(module, args):
            torch.empty(2**60)

        model.get_input_embeddings().register_forward_pre_hook(real_failure)
        with pytest.raises(ProbeError, match="out of memory"):
            score(model, planned)
