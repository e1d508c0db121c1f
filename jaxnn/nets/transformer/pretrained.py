"""Pretrained networks: the config.json of Hugging Face as arguments of our networks."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax

from jaxnn.layers.attention.positions import rotary

ACTIVATIONS = {
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_new": jax.nn.gelu,
    "gelu_pytorch_tanh": jax.nn.gelu,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
}


def net_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `gpt2`, `llama` or `bert` for the config.json of a model.

    `interop.from_layout(interop.layout_for(config), ...)` then loads its weights. Dropout is left
    out, since it only matters for training.

    Args:
      config: the contents of the model's config.json, including "model_type".

    Returns:
      Arguments by name, for the function whose name is the model_type.

    Raises:
      ValueError: if the model is none of the three, or has a setting that they do not have.
      KeyError: if the config does not have the sizes.

    (Radford et al., Language models are unsupervised multitask learners, 2019; Devlin et al., BERT,
    2018; Touvron et al., Llama, 2023.)

    >>> import json, jax, jaxnn as nn
    >>> text = '''{"model_type": "gpt2", "vocab_size": 10, "n_embd": 8, "n_layer": 2, "n_head": 2,
    ...     "n_positions": 16}'''
    >>> net = nn.gpt2(**nn.net_arguments(json.loads(text)))
    >>> params, _ = net.init(jax.random.key(0), jax.numpy.ones((2, 5), int))
    >>> sorted(nn.interop.to_layout(nn.interop.layout_for(json.loads(text)), params))[-1]
    'transformer.wte.weight'
    """
    families = {"gpt2": _gpt2, "bert": _bert, "llama": _llama}
    kind = config.get("model_type")
    if kind not in families:
        raise ValueError(f"model_type {kind!r} is not one of {', '.join(families)}.")
    return families[kind](config)


def _gpt2(config: Mapping[str, Any]) -> dict[str, Any]:
    _only(config, "scale_attn_weights", True)
    _only(config, "scale_attn_by_inverse_layer_idx", False)
    _only(config, "add_cross_attention", False)
    return {
        "vocabulary": config["vocab_size"],
        "width": config["n_embd"],
        "depth": config["n_layer"],
        "heads": config["n_head"],
        "length": config["n_positions"],
        "mlp_width": config.get("n_inner") or 4 * config["n_embd"],
        "tied": config.get("tie_word_embeddings", True),
        "epsilon": config.get("layer_norm_epsilon", 1e-5),
        "activation": _activation(config, "activation_function", "gelu_new"),
    }


def _bert(config: Mapping[str, Any]) -> dict[str, Any]:
    _only(config, "position_embedding_type", "absolute")
    _only(config, "is_decoder", False)
    return {
        "vocabulary": config["vocab_size"],
        "width": config["hidden_size"],
        "depth": config["num_hidden_layers"],
        "heads": config["num_attention_heads"],
        "length": config["max_position_embeddings"],
        "types": config.get("type_vocab_size", 2),
        "mlp_width": config["intermediate_size"],
        "epsilon": config.get("layer_norm_eps", 1e-12),
        "activation": _activation(config, "hidden_act", "gelu"),
    }


def _llama(config: Mapping[str, Any]) -> dict[str, Any]:
    width, heads = config["hidden_size"], config["num_attention_heads"]
    bias = config.get("attention_bias", False)
    _only(config, "mlp_bias", bias, False)
    _only(config, "head_dim", width // heads)
    _only(config, "rope_scaling", None)
    # Since version 5 of the library the rotation is told in a place of its own.
    turning = {"rope_theta": config.get("rope_theta", 10_000.0)} | (
        config.get("rope_parameters") or {}
    )
    _only(turning, "rope_type", "default")
    _only(turning, "partial_rotary_factor", 1.0)
    return {
        "vocabulary": config["vocab_size"],
        "width": width,
        "depth": config["num_hidden_layers"],
        "heads": heads,
        "kv_heads": config.get("num_key_value_heads") or heads,
        "length": config["max_position_embeddings"],
        "rotary": rotary(float(turning["rope_theta"])),
        "mlp_width": config["intermediate_size"],
        "tied": config.get("tie_word_embeddings", False),
        "epsilon": config.get("rms_norm_eps", 1e-6),
        "activation": _activation(config, "hidden_act", "silu"),
        "bias": bias,
    }


def _only(config: Mapping[str, Any], name: str, only: Any, default: Any = None) -> None:
    """Raises ValueError if a setting differs from the one that is supported."""
    value = config.get(name)
    value = default if value is None else value
    if value is not None and value != only:
        raise ValueError(f"{name} is {value!r} in this config, and only {only!r} is supported.")


def _activation(config: Mapping[str, Any], name: str, default: str) -> Any:
    chosen = config.get(name, default)
    if chosen not in ACTIVATIONS:
        raise ValueError(f"{name} is {chosen!r}, which is not one of {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[chosen]
