"""Engine: asks the vLLM that a TRL trainer samples with for replies as well.

At an observation the engine still holds the weights of the last generation, so TRL's own `sync_weights` first gives it
the present ones. Training then goes on as it would have: the trainer's note of what it loaded last is not touched, so
that its next generation hands over the weights when it would have. An engine that slept is put back to sleep, adapters
that TRL merges for the purpose are taken out to the last bit, and every request has its own seed, so that vLLM draws
from none of its generators.

Written from the sources of TRL 1.12 to 1.16 and of vLLM, and tested with TRL's own code on a stand-in for vLLM. There
is a test with a real vLLM (`tests/replies/test_vllm_gpu.py`), which has not been run yet.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from driftwatch.chat.format import ChatFormat
from driftwatch.errors import Absent, ProbeError
from driftwatch.host.adapters import find_peft
from driftwatch.host.guard import model_to_ask
from driftwatch.host.life import weakly
from driftwatch.host.lockstep import is_sharded
from driftwatch.host.ranks import everywhere, num_ranks, on_first, rank, together
from driftwatch.replies.decoding import Decoding
from driftwatch.replies.sampling import Reply

_REQUESTS = 64  # requests to a server at the same time, as many as TRL's own client makes
_VERSION_SECONDS = 10.0  # time-out of the request for a server's vLLM version


@runtime_checkable
class Engine(Protocol):
    """Writes replies outside the model's own forward."""

    @property
    def name(self) -> str:
        """Kind and version, which the replies of two observations must have in common."""
        ...

    @property
    def fixed_seconds(self) -> float:
        """Seconds spent so far on what does not grow with the replies: taking weights, waking up, falling asleep."""
        ...

    def write(
        self, prompts: Sequence[Sequence[int]], seeds: Sequence[int], decoding: Decoding, stop_ids: Sequence[int]
    ) -> list[list[int]]:
        """Token ids of one reply per prompt, by the present weights; on every rank, inside the guard.

        Args:
            prompts: Token ids; the same on every rank.
            seeds: One seed per prompt, in [0, 2⁶³).
            decoding: How replies are sampled.
            stop_ids: The tokens that end a reply; no other token does.

        Raises:
            ProbeError: The engine could not be asked; raised on every rank.
        """
        ...


def written(
    engine: Engine,
    fmt: ChatFormat,
    questions: Sequence[str],
    *,
    seeds: Sequence[int],
    decoding: Decoding,
    stop_ids: Sequence[int],
) -> list[Reply]:
    """One reply per question, in order, as from `sampling.sample`, but without entropy, which engines do not report.

    Args:
        engine: The engine that writes.
        fmt: Encodes the questions.
        questions: Texts before the chat template; the same on every rank.
        seeds: One seed per question.
        decoding: How replies are sampled.
        stop_ids: Tokens that end a reply, in addition to those with which the template ends a turn.

    Raises:
        ProbeError: The engine could not be asked.
    """

    def reply(ids: list[int]) -> Reply:
        length = next((t for t, token in enumerate(ids) if token in stop_ids), len(ids))
        said = ids[:length]
        return Reply(fmt.decode(said), length, length < decoding.max_new_tokens, None, missing=fmt.missing(said))

    stop_ids = sorted({*stop_ids, *fmt.stop_ids})
    prompts = [fmt.encode(text) for text in questions]
    return [reply(ids) for ids in engine.write(prompts, seeds, decoding, stop_ids)]


@contextmanager
def counted_apart(engine: Engine | None, seconds: dict[str, float]) -> Iterator[None]:
    """Move an engine's fixed cost from an observation's stage "replies" to a stage "engine".

    Otherwise each draw would seem to cost a share of it, the more so the fewer draws there are, and a budget would cut
    draws without need.

    Args:
        engine: The engine that may be asked inside the block; `None` for this process.
        seconds: The observation's seconds by stage; "replies" is set once the block has ended.
    """
    before = 0.0 if engine is None else engine.fixed_seconds
    try:
        yield
    finally:
        if engine is not None and (fixed := min(engine.fixed_seconds - before, seconds["replies"])) > 0:
            seconds["replies"] -= fixed
            seconds["engine"] = fixed


def find_engine(trainer: Any) -> Engine | Absent | None:
    """The engine that a trainer samples with, or the reason why it cannot be asked; call it on every rank.

    Args:
        trainer: A TRL trainer at the moment when its training begins.

    Returns:
        `None` if the trainer samples without an engine.
    """
    if not getattr(trainer, "use_vllm", False):
        return None
    generation = getattr(trainer, "vllm_generation", None)
    syncs = callable(getattr(generation, "sync_weights", None))
    if not syncs or getattr(generation, "mode", None) not in ("colocate", "server"):
        return Absent(f"{type(trainer).__name__} keeps its vLLM in a way that driftwatch does not know")
    if find_peft(trainer.model) is not None:
        # Merging requantises a quantised base, and the shards of a sharded base cannot be put back.
        if getattr(trainer.model, "is_quantized", False):
            return Absent(
                "it would be handed an adapter that is merged into a quantised base, and merging changes the base"
            )
        if is_sharded(model_to_ask(trainer.model_wrapped)):
            return Absent(
                "it would be handed an adapter that is merged into a sharded base, which cannot be taken out exactly"
            )
    try:
        return TrainerEngine(f"vLLM {_version(generation)}", generation)
    except Exception as err:  # noqa: BLE001 - a foreign server; without it the process samples by itself
        return Absent(f"it does not say which vLLM it is ({type(err).__name__}: {err})")


def _version(generation: Any) -> str:
    if generation.mode == "colocate":
        return str(import_module("vllm").__version__)

    def ask() -> str:
        client = generation.vllm_client
        return str(client.session.get(f"{client.base_url}/version", timeout=_VERSION_SECONDS).json()["version"])

    return on_first(ask, "asking the vLLM server for its version")


class TrainerEngine:
    """The vLLM of one trainer, in this process ("colocate") or on a server.

    Args:
        name: Kind and version.
        generation: TRL's `VLLMGeneration`, which holds the engine and gives it weights. Only a weak reference is kept,
            since it refers to the trainer and its model.

    Attributes:
        name: Kind and version.
        fixed_seconds: See `Engine.fixed_seconds`.
    """

    def __init__(self, name: str, generation: Any) -> None:
        self.name = name
        self.fixed_seconds = 0.0
        self._find = weakly(generation)

    @property
    def generation(self) -> Any:
        """TRL's `VLLMGeneration`.

        Raises:
            ProbeError: The trainer is gone.
        """
        found = self._find()
        if found is None:
            raise ProbeError("the trainer whose vLLM wrote the replies is gone")
        return found

    def write(
        self, prompts: Sequence[Sequence[int]], seeds: Sequence[int], decoding: Decoding, stop_ids: Sequence[int]
    ) -> list[list[int]]:
        """As `Engine.write`."""
        settings = [
            {
                "seed": seed,
                "temperature": decoding.temperature,
                "top_p": decoding.top_p,
                "max_tokens": decoding.max_new_tokens,
                "stop_token_ids": list(stop_ids),
                "ignore_eos": True,  # the end-of-sequence token ends a reply only if it is in `stop_ids`
                # A server would take missing settings from the model's own generation config.
                "top_k": 0,
                "min_p": 0.0,
                "repetition_penalty": 1.0,
            }
            for seed in seeds
        ]
        try:
            try:
                with self._fixed():
                    together(self._sync, "handing the weights to vLLM")
                if self.generation.mode == "server":
                    return on_first(lambda: self._from_server(prompts, settings), "asking the vLLM server")
                return self._from_own(prompts, settings)
            finally:  # an earlier failure was a failure on all ranks, so all come here
                with self._fixed():
                    everywhere(self._sleep_again, "putting vLLM back to sleep")
        except ProbeError:
            raise
        except Exception as err:
            raise ProbeError(f"the trainer's vLLM could not be asked: {type(err).__name__}: {err}") from err

    @contextmanager
    def _fixed(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.fixed_seconds += time.monotonic() - began

    def _sync(self) -> None:
        with _adapters_taken_out(self.generation.model):
            self.generation.sync_weights()

    def _from_server(self, prompts: Sequence[Sequence[int]], settings: Sequence[dict[str, Any]]) -> list[list[int]]:
        """Token ids from a server, with one request per prompt, since all prompts of a request share its seed."""
        client = self.generation.vllm_client

        def ask(row: int) -> list[int]:
            answer = client.generate(prompts=[list(prompts[row])], generation_kwargs=settings[row])
            return list(answer["completion_ids"][0])

        with ThreadPoolExecutor(min(_REQUESTS, len(prompts))) as threads:
            return list(threads.map(ask, range(len(prompts))))

    def _from_own(self, prompts: Sequence[Sequence[int]], settings: Sequence[dict[str, Any]]) -> list[list[int]]:
        """Token ids from the ranks' own engines, each given its share; all ranks of a split engine give it the same."""
        ranks_per_engine = self.generation.tensor_parallel_size
        engines = num_ranks() // ranks_per_engine
        mine = range(rank() // ranks_per_engine, len(prompts), engines)
        found = together(
            lambda: self._generate([prompts[row] for row in mine], [settings[row] for row in mine]), "asking vLLM"
        )
        shares = found[::ranks_per_engine]
        return [shares[row % engines][row // engines] for row in range(len(prompts))]

    def _generate(self, prompts: Sequence[Sequence[int]], settings: Sequence[dict[str, Any]]) -> list[list[int]]:
        if not prompts:
            return []
        llm = self.generation.llm
        limit = llm.llm_engine.model_config.max_model_len
        longest, reply = max(len(ids) for ids in prompts), settings[0]["max_tokens"]
        if longest + reply > limit:  # vLLM would cut the reply off, which would look as if it had ended by itself
            raise ProbeError(
                f"a question of {longest} tokens and a reply of {reply} do not fit into the {limit} of the trainer's "
                "vLLM; give the trainer a larger vllm_max_model_length, or the questions a shorter wrap."
            )
        if self.generation.enable_sleep_mode:
            with self._fixed():
                llm.wake_up(tags=["kv_cache"])  # the weights are awake since they were handed over
        sampling_params = import_module("vllm").SamplingParams
        outputs = llm.generate(
            [{"prompt_token_ids": list(ids)} for ids in prompts],
            sampling_params=[sampling_params(**setting) for setting in settings],
            use_tqdm=False,
        )
        return [list(output.outputs[0].token_ids) for output in outputs]

    def _sleep_again(self) -> None:
        """Put an engine that shares the device with training back to sleep without weights, and note it as TRL does."""
        generation = self.generation
        if generation.mode == "colocate" and generation.enable_sleep_mode and not generation._llm_weights_sleeping:
            generation.llm.sleep(level=2)
            generation._llm_weights_sleeping = True


@contextmanager
def _adapters_taken_out(model: Any) -> Iterator[None]:
    """Put base weights back bit for bit, since TRL adds the adapters to them and subtracts them again, which rounds.

    TRL does so at each of its own generations, too; doing it once more would change the training. The copies are kept
    on the CPU, since the device is full.
    """
    peft_model = find_peft(model)
    if peft_model is None:
        yield
        return
    # Parameters are listed under all of their names: a shared weight would otherwise bear only its first layer's name.
    named = peft_model.named_parameters(remove_duplicate=False)
    bases = {id(parameter): parameter for name, parameter in named if ".base_layer." in name}
    held = [(parameter, parameter.data, parameter.data.to("cpu", copy=True)) for parameter in bases.values()]
    try:
        yield
    finally:
        for module in peft_model.modules():
            if getattr(module, "merged", False) is True:  # a sync that failed half-way leaves adapters merged
                module.unmerge()
        for parameter, data, copy in held:
            parameter.data = data.copy_(copy)
