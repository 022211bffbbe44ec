import pytest

from driftwatch.errors import ConfigError
from driftwatch.probes.load import is_path, load_model


@pytest.mark.parametrize("name", ["/models/sft", "./sft", "../sft", "~/sft", "runs/sft/final", "sft/"])
def test_what_can_only_be_a_path_is_never_looked_for_on_a_hub(name):
    assert is_path(name)
    with pytest.raises(ConfigError, match="expected a model's folder; found none at"):
        load_model(name)


@pytest.mark.parametrize("name", ["gpt2", "Qwen/Qwen3-0.6B", "sft_final"])
def test_hub_ids_are_no_paths(name):
    assert not is_path(name)
