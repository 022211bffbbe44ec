"""A stand-in for vLLM, below TRL's own `VLLMGeneration`, which is used as it is.

It has the part of vLLM that TRL and driftwatch call, and a model of its own that gets weights only as vLLM does. As
vLLM, it samples requests without a seed from the global generator, drops its weights when it sleeps deeply, and
refuses to work then.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace

import torch
from transformers import AutoModelForCausalLM

VERSION = "0.31.0"
RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(kw_only=True)
class SamplingParams:
    """As vLLM's, which refuses what it does not know (vllm/sampling_params.py)."""

    n: int = 1
    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int = 16
    logprobs: int | None = None

    def __post_init__(self):
        if not 0 <= self.temperature <= 2:
            raise ValueError(f"temperature must be in [0, 2], got {self.temperature}.")
        assert self.n == 1, "TRL asks an engine in its own process for one reply a prompt"
        assert self.seed is None or 0 <= self.seed < 2**63


class Weights:
    """An engine's model: tensors come in by name, as `load_weights` takes them."""

    def __init__(self, folder):
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()

    def load_weights(self, weights):
        own = self.model.state_dict()
        for name, tensor in weights:
            own[name].copy_(tensor)

    def drop(self):
        for parameter in self.model.parameters():
            parameter.data.fill_(float("nan"))

    @torch.no_grad()
    def reply(self, ids, params, end):
        """Token ids and log-probabilities of one reply."""
        generator = None if params.seed is None else torch.Generator().manual_seed(params.seed)
        stops = {*(params.stop_token_ids or ()), *(() if params.ignore_eos else (end,))}
        found, logprobs = [], []
        while len(found) < params.max_tokens and (not found or found[-1] not in stops):
            logits = self.model(torch.tensor([[*ids, *found]])).logits[0, -1].float()
            log_probs = (logits / (params.temperature or 1)).log_softmax(dim=-1)
            probs = log_probs.exp() if params.temperature else torch.nn.functional.one_hot(logits.argmax(), len(logits))
            if params.top_p < 1:
                ordered, order = probs.sort(descending=True)
                probs[order[ordered.cumsum(-1) - ordered >= params.top_p]] = 0
            token = int(torch.multinomial(probs.float(), 1, generator=generator))
            found.append(token)
            logprobs.append(float(log_probs[token]))
        return found, logprobs


class LLM:
    """The engine of one process.

    Attributes:
        log: What it was asked to do, in order; of replies with seeds the weights that wrote them.
        failing: Raises at requests with seeds, which are driftwatch's.
        fails_to_load: Raises at the weight of that number while weights are handed over.
    """

    made: "list[LLM]" = []  # noqa: RUF012 - TRL makes them; tests find them here

    def __init__(self, model, *, enable_sleep_mode, max_model_len, tensor_parallel_size, logprobs_mode, **_):
        assert logprobs_mode == "processed_logprobs"
        self.weights = Weights(model)
        self.sleeps = enable_sleep_mode
        self.awake = {"weights", "kv_cache"}
        self.log = []
        self.failing = False
        self.fails_to_load = None
        runner = SimpleNamespace(model=self)
        executor = SimpleNamespace(driver_worker=SimpleNamespace(model_runner=runner))
        length = SimpleNamespace(max_model_len=max_model_len or 2048)
        self.llm_engine = SimpleNamespace(model_executor=executor, model_config=length)
        LLM.made.append(self)

    def load_weights(self, weights):
        assert "weights" in self.awake, "weights of a sleeping engine are nowhere"
        if self.fails_to_load is not None:
            self.fails_to_load -= 1
            if self.fails_to_load < 0:
                raise RuntimeError("no memory for this weight")
        self.weights.load_weights(weights)

    def generate(self, prompts, sampling_params=None, *, use_tqdm=True):
        assert self.awake == {"weights", "kv_cache"}, f"only {self.awake} are awake"
        settings = sampling_params if isinstance(sampling_params, Sequence) else [sampling_params] * len(prompts)
        if len(settings) != len(prompts):
            raise ValueError("The lengths of prompts and sampling_params must be the same.")
        ours = settings[0].seed is not None
        if ours and self.failing:
            raise RuntimeError("the engine is gone")
        end = self.weights.model.config.eos_token_id
        outputs = []
        for prompt, params in zip(prompts, settings, strict=True):
            ids, logprobs = self.weights.reply(prompt["prompt_token_ids"], params, end)
            row = [{token: SimpleNamespace(logprob=value, rank=1)} for token, value in zip(ids, logprobs, strict=True)]
            output = SimpleNamespace(token_ids=ids, logprobs=None if params.logprobs is None else row)
            outputs.append(SimpleNamespace(prompt_token_ids=prompt["prompt_token_ids"], outputs=[output]))
        if ours:
            state = {name: tensor.clone() for name, tensor in self.weights.model.state_dict().items()}
            replies = [output.outputs[0].token_ids for output in outputs]
            self.log.append(("reply", list(zip(settings, replies, strict=True)), state))
        else:
            self.log.append(("train", len(prompts)))
        return outputs

    def wake_up(self, tags=None):
        assert self.sleeps, "only an engine with sleep mode can wake up"
        self.awake |= set(tags or ("weights", "kv_cache"))

    def sleep(self, level=1):
        assert self.sleeps
        assert level == 2, "TRL puts engines to sleep so that their weights are dropped"
        assert self.awake, "an engine that sleeps cannot be put to sleep"
        self.awake = set()
        self.weights.drop()

    def reset_prefix_cache(self):
        return True

    @property
    def asked(self):
        """Of each time that driftwatch asked: settings with replies, and the weights."""
        return [(entry[1], entry[2]) for entry in self.log if entry[0] == "reply"]


class Client:
    """TRL's client of a server, without the network: the server's engine is in here."""

    def __init__(self, base_url=None, host="0.0.0.0", server_port=8000, group_port=51216, connection_timeout=0.0):
        self.base_url = base_url or f"http://{host}:{server_port}"
        self.session = SimpleNamespace(get=self._get)
        self.weights = None
        self.requests = []
        self.failing = False

    def _get(self, url, timeout=None):
        assert url == f"{self.base_url}/version"
        return SimpleNamespace(json=lambda: {"version": VERSION})

    def init_communicator(self, device=0):
        pass

    def get_server_info(self):
        return {"model_config": {"logprobs_mode": "processed_logprobs"}}

    def update_named_params(self, metadata, params):
        for (name, dtype, shape), (given, tensor) in zip(metadata, params, strict=True):
            assert (name, dtype, shape) == (given, str(tensor.dtype).removeprefix("torch."), list(tensor.shape))
            self.weights.load_weights([(name, tensor)])

    def reset_prefix_cache(self):
        pass

    def generate(
        self,
        prompts,
        features=None,
        n=1,
        repetition_penalty=1.0,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        min_p=0.0,
        max_tokens=16,
        logprobs=0,
        structured_outputs_regex=None,
        generation_kwargs=None,
    ):
        settings = {
            "repetition_penalty": repetition_penalty,
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "min_p": min_p,
            "max_tokens": max_tokens,
            "logprobs": logprobs,
            **(generation_kwargs or {}),
        }
        params = SamplingParams(**settings)
        if params.seed is not None and self.failing:
            raise RuntimeError("Request failed: 500, out of luck")
        end = self.weights.model.config.eos_token_id
        found = [self.weights.reply(ids, params, end) for ids in prompts for _ in range(n)]
        if params.seed is not None:
            self.requests.append((params, prompts, found[0][0]))
        return {
            "prompt_ids": prompts,
            "completion_ids": [ids for ids, _ in found],
            "logprobs": [[[value] for value in values] for _, values in found],
            "logprob_token_ids": [[[token] for token in ids] for ids, _ in found],
        }


def put_in_place(monkeypatch):
    """TRL finds the stand-in in place of vLLM; gives the engines that it makes."""
    from trl.generation import vllm_generation

    module = ModuleType("vllm")
    module.LLM, module.SamplingParams, module.__version__ = LLM, SamplingParams, VERSION
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr(vllm_generation, "is_vllm_available", lambda *_, **__: True)
    monkeypatch.setattr(vllm_generation, "LLM", LLM, raising=False)
    monkeypatch.setattr(vllm_generation, "SamplingParams", SamplingParams, raising=False)
    monkeypatch.setattr(vllm_generation, "VLLMClient", Client)
    for name in RANKS:
        monkeypatch.setenv(name, "")  # so that what was there comes back
    forget_ranks(monkeypatch)
    monkeypatch.setattr(LLM, "made", [])
    return LLM.made


def forget_ranks(monkeypatch):
    """TRL tells vLLM by the environment which rank this is, for good; the next trainer would open a process group."""
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)
