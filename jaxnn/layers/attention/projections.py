"""The weights of attention: projections to queries, keys and values, and to the output."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.layers.dense import dense
from jaxnn.layers.norm import rms_norm


class HeadSpec(NamedTuple):
    """The sizes of the heads; `project` and `join` make dense layers of a given width."""

    title: str
    heads: int
    kv_heads: int
    width: int | None
    qk_norm: bool
    project: Callable[[int], Layer]
    join: Callable[[int], Layer]


def head_spec(title, heads, kv_heads, width, qk_norm, bias, w_init, b_init, out_init) -> HeadSpec:
    """The sizes and layers of the heads, with their arguments checked."""
    heads = core.check_int(heads, f"{title}: heads")
    kv_heads = heads if kv_heads is None else core.check_int(kv_heads, f"{title}: kv_heads")
    if heads % kv_heads:
        raise ValueError(
            f"{title}: {kv_heads} kv_heads do not divide {heads} heads: take a divisor of them."
        )
    width = None if width is None else core.check_int(width, f"{title}: width")
    project = partial(dense, bias=bias, w_init=w_init, b_init=b_init)
    join = partial(dense, bias=bias, w_init=out_init or w_init, b_init=b_init)
    made = HeadSpec(title, heads, kv_heads, width, qk_norm, project, join)
    if width is not None:
        head_width(made, None)
    return made


def head_width(plan: HeadSpec, x: Any) -> int:
    """The features of one head; raises ValueError if the heads do not divide the width."""
    width = plan.width or x.shape[-1]
    if width % plan.heads:
        raise ValueError(
            f"{plan.title}: {plan.heads} heads do not divide a width of {width}: take a divisor "
            "of it, or another width."
        )
    return width // plan.heads


def init(plan: HeadSpec, key: Any, x: Any, **inputs: Any) -> dict:
    """Params of the projections of `inputs`, keyed by their outputs, of "out" and of the norms."""
    width = head_width(plan, x)
    head = jax.ShapeDtypeStruct((1, 1, 1, width), x.dtype)
    examples = {
        **inputs,
        "out": jax.ShapeDtypeStruct((1, 1, plan.heads * width), x.dtype),
        "q_norm": head,
        "k_norm": head,
    }
    return {
        name: layer.init(core.fold_in(key, i), examples[name])[0]
        for i, (name, layer) in enumerate(_layers(plan, x, *inputs).items())
    }


def caller(plan: HeadSpec, params: Any, x: Any, *names: str) -> Callable[[str, Any], jax.Array]:
    """A function call(name, x) that applies the layer of that name."""
    layers = _layers(plan, x, *names)
    core.unpack_params(params, x, plan.title, *layers)  # only for its check

    def call(name, x):
        with core.error_scope(f"{plan.title}.{name}", name, layers[name], x):
            return layers[name].apply(params[name], (), x)[0]

    return call


def _layers(plan: HeadSpec, x: Any, *names: str) -> dict[str, Layer]:
    width = head_width(plan, x)
    q, kv = plan.heads * width, 2 * plan.kv_heads * width
    columns = {"q": q, "kv": kv, "qkv": q + kv}
    layers = {name: plan.project(columns[name]) for name in names}
    layers["out"] = plan.join(x.shape[-1])
    return layers | ({"q_norm": rms_norm(), "k_norm": rms_norm()} if plan.qk_norm else {})


def qk_normalize(plan: HeadSpec, call: Callable, q: jax.Array, k: jax.Array) -> tuple:
    """Queries and keys, each divided by its root mean square if the layer has qk_norm."""
    return (call("q_norm", q), call("k_norm", k)) if plan.qk_norm else (q, k)


def split(x: jax.Array, *counts: int) -> Sequence[jax.Array]:
    """Features as heads [batch, time, count, width], one array for each of the counts."""
    total = sum(counts)
    heads = x.reshape(*x.shape[:2], total, x.shape[-1] // total)
    return jax.lax.split(heads, counts, axis=2)


def merge_heads(y: jax.Array) -> jax.Array:
    """Heads [batch, time, heads, width] concatenated into features."""
    return y.reshape(*y.shape[:2], y.shape[2] * y.shape[3])
