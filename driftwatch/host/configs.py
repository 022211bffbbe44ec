"""Reads a model's config: its parts, and settings that a config refuses to give because they differ by layer."""

from typing import Any


def text_config(model: Any) -> Any:
    """The config of the part that reads text; the whole config if there is no single such part."""
    config = model.config
    try:
        return config.get_text_config()
    except Exception:  # noqa: BLE001 - a config without such a method, or with several text parts
        return config


def all_configs(model: Any) -> list[Any]:
    """A model's config and the configs inside it, each once; empty if it has none."""
    found: dict[int, Any] = {}

    def collect(config: Any) -> None:
        if hasattr(config, "to_dict") and hasattr(config, "__dict__") and id(config) not in found:
            found[id(config)] = config
            for part in list(vars(config).values()):
                collect(part)

    collect(getattr(model, "config", None))
    return list(found.values())


def setting(config: Any, name: str, default: Any = None) -> Any:
    """A setting; `default` if there is none, it is `None`, or it cannot be read.

    In transformers 5 a config may differ by layer. Reading such a setting raises an error that is no AttributeError, so
    `getattr` with a default raises it, too. This function returns the largest value of all layers.
    """
    try:
        found = getattr(config, name, None)
    except Exception:  # noqa: BLE001 - see above; a config that computes a setting may fail at it, too
        found = _largest(config, name)
    return default if found is None else found


def _largest(config: Any, name: str) -> Any:
    found = []
    try:
        layers = list(config.per_layer_config)
    except Exception:  # noqa: BLE001 - it may be anybody's config; what cannot be read has no value
        return None
    for layer in layers:
        try:
            value = getattr(layer, name, None)
        except Exception:  # noqa: BLE001 - as above
            continue
        if isinstance(value, (int, float)):
            found.append(value)
    return max(found, default=None)
