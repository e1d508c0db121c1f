"""The protocol: a layer is a named pair of pure functions over pytrees.

`Layer` maps an input to an output, `Cell` also remembers along a sequence. Three kinds of memory
are never mixed: `params` (learned by the gradient), `state` (learned by running) and `carry` (the
sequence at hand). The helpers below are the rules every layer keeps: where a plain function may
stand for a layer, how params and inputs agree on a dtype, how keys branch, and how an error names
its place.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxnn.checks import check_int as check_int
from jaxnn.checks import checked_apply, checked_init, title_of
from jaxnn.dtypes import at_least_float32 as at_least_float32
from jaxnn.dtypes import cast as cast
from jaxnn.dtypes import float_dtype as float_dtype
from jaxnn.dtypes import floating as floating
from jaxnn.dtypes import param_dtype as param_dtype
from jaxnn.printing import call_text, text

Tree = Any  # a pytree of arrays


@dataclass(frozen=True, eq=False, repr=False)
class Layer:
    """A pair of pure functions, hashed by identity so that `jax.jit(layer)` caches.

    init:  (key, x) -> (params, state), where x is an example: arrays or `ShapeDtypeStruct`s.
    apply: (params, state, x, *, key=None, train=False) -> (y, state).

    A layer without state returns `()` for it, and may be called as `layer(params, x)`.

    couples: the name of the layer in it whose rows see each other in training, such as batch norm,
      or whose steps do, such as attention; "" for none. Where rows or steps are padding, such a
      layer is given (x, mask).
    name, arguments: the function that made the layer and what it was given, as `repr` prints them.
    """

    init: Callable[..., tuple[Tree, Tree]]
    apply: Callable[..., tuple[Tree, Tree]]
    couples: str = ""
    name: str = ""
    arguments: tuple[tuple, dict[str, Any]] | None = None

    def __post_init__(self):
        _check_pair(self)

    def __repr__(self) -> str:
        return call_text(self.name, self.arguments)

    def __call__(self, params: Tree, x: Tree, *, key: jax.Array | None = None, train: bool = False):
        """The output of a net without state; raises ValueError where state would be lost."""
        y, state = self.apply(params, (), x, key=key, train=check_train(train))
        if not is_stateless(state):
            raise ValueError(
                f"{self.name} returned state, which a call would lose: use "
                "net.apply(params, state, x), which returns (y, state)."
            )
        return y


@dataclass(frozen=True, eq=False, repr=False)
class Cell:
    """A layer that remembers along a sequence; it always takes a chunk [batch, time, ...].

    init:  (key, x) -> (params, state).
    carry: (params, x) -> the memory before the first step; only the shape of x matters.
    apply: (params, state, (carry, x), *, key=None, train=False) -> ((carry, y), state).
    """

    init: Callable[..., tuple[Tree, Tree]]
    carry: Callable[..., Tree]
    apply: Callable[..., tuple[tuple[Tree, Tree], Tree]]
    name: str = ""
    arguments: tuple[tuple, dict[str, Any]] | None = None

    def __post_init__(self):
        _check_pair(self)

    def __repr__(self) -> str:
        return call_text(self.name, self.arguments)

    def __call__(self, *args: Any, **options: Any):
        """Raises TypeError: a cell is unrolled, or given its carry."""
        raise TypeError(
            f"{self.name} is a cell, which carries a memory along: call nn.unroll(cell)(params, "
            "x) for whole sequences, or cell.apply(params, state, (carry, x))."
        )


if TYPE_CHECKING:

    class Net(Layer, Cell):  # which of the two it is depends on the children
        """A layer, or a cell if a child is one."""
else:
    Net = Layer | Cell


def apply_either(layer: Layer | Cell, params, state, carry, x, *, key=None, train=False):
    """(y, carry, state) of a layer and a cell alike; the carry of a layer is `()`."""
    if isinstance(layer, Cell):
        (carry, y), state = layer.apply(params, state, (carry, x), key=key, train=train)
        return y, carry, state
    y, state = layer.apply(params, state, x, key=key, train=train)
    return y, (), state


def initial_carry(layer: Layer | Cell, params: Tree, x: Tree) -> Tree:
    """The carry before the first step; `()` for a layer."""
    return layer.carry(params, x) if isinstance(layer, Cell) else ()


def lift(layer: Any) -> Net:
    """A layer or cell as it is, or a plain function of arrays as a layer without params.

    Given a `Graph`, or any other named tuple with `nodes`, the function acts on its nodes.

    Args:
      layer: a layer, a cell or a function of arrays.

    Returns:
      A layer or a cell.

    Raises:
      TypeError: if it is none of these, or a function that makes layers.

    >>> import jax, jaxnn as nn
    >>> layer = nn.lift(jax.numpy.tanh)
    >>> params, state = layer.init(jax.random.key(0), jax.numpy.ones(2))
    >>> params, layer(params, jax.numpy.zeros(2)).tolist()
    ((), [0.0, 0.0])
    """
    if isinstance(layer, Layer | Cell):
        return layer  # pyright: ignore
    if not callable(layer):
        raise TypeError(
            f"{text(layer)} is not a layer: give a Layer, a Cell or a function of arrays."
        )
    title = getattr(layer, "__name__", None) or getattr(
        getattr(layer, "func", layer), "__name__", type(layer).__name__
    )
    made = getattr(layer, "__annotations__", {}).get("return")
    if made in (Layer, Cell, Net, "Layer", "Cell", "Net"):
        raise TypeError(f"{title} makes layers and is none itself: call it, {title}(...).")

    def init(key, x):
        return (), ()

    def apply(params, state, x, *, key=None, train=False):
        graph = "nodes" in getattr(type(x), "_fields", ())
        y = layer(x.nodes if graph else x)
        for leaf in jax.tree.leaves(y):
            if not isinstance(leaf, jax.Array) and not hasattr(leaf, "__array__"):
                raise TypeError(
                    f"{title} returned {type(leaf).__name__}, not arrays: if {title} makes "
                    f"layers, call it first, {title}(...)."
                )
        return x._replace(nodes=y) if graph else y, ()

    return Layer(init, apply, name=title)  # pyright: ignore


def _check_pair(net: Layer | Cell) -> None:
    """Gives a net its name, and functions that check what they are given and what they return."""
    object.__setattr__(net, "name", net.name or title_of(net.init))
    object.__setattr__(net, "init", checked_init(net.init, net.name))
    object.__setattr__(net, "apply", checked_apply(net.apply, net.name))


# Layers over space, which on [batch, time, features] is time, and which take no mask.
OVER_SPACE = (
    *("conv", "conv_transpose", "depthwise_conv", "max_pool", "avg_pool", "global_max_pool"),
    *("global_avg_pool", "adaptive_max_pool", "adaptive_avg_pool", "upsample", "pixel_shuffle"),
    *("flatten", "log_mel"),
)
# Layers in which the steps of a sequence see each other, and rows do not.
ALONG_TIME = (
    *("attention", "transformer_block", "transformer", "group_norm", "instance_norm"),
    *OVER_SPACE,
)


def takes_mask(title: str, net: Layer | Cell) -> Net:
    """A net under its own name, which as a layer takes (x, mask) and gives back the pair."""
    if isinstance(net, Cell):
        return net  # pyright: ignore
    return Layer(net.init, net.apply, title, title)  # pyright: ignore


def layer_or_cell(kind: str, init, carry, apply, *children: Layer | Cell) -> Net:
    """A cell where a child is one; else the same functions as a layer, without the carry.

    `apply` is written in a cell's form, so that a combinator is written once.
    """

    def start(key, x):
        return init(key, x)

    def forward(params, state, x, *, key=None, train=False):
        (_, y), state = apply(params, state, ((), x), key=key, train=check_train(train))
        return y, state

    if any(isinstance(child, Cell) for child in children):
        return Cell(start, carry, apply, kind)  # pyright: ignore
    found = [each.couples for each in children if isinstance(each, Layer) and each.couples]
    # Rows first: what couples the steps of a sequence alone does not matter in `time_distributed`.
    couples = min(found, key=ALONG_TIME.__contains__, default="")
    return Layer(start, forward, couples, kind)  # pyright: ignore


# State and keys


def is_stateless(state: Tree) -> bool:
    """Whether there is no state: `()`, whatever else has no leaves is the layer's own."""
    return isinstance(state, tuple) and len(state) == 0


def require_state(state: Tree, title: str) -> Tree:
    """The state of a layer that needs one; raises ValueError where it was left out."""
    if is_stateless(state):
        raise ValueError(
            f"{title} keeps state and got none: use net.apply(params, state, x) with the state "
            "that net.init returned."
        )
    return state


def check_train(train: Any) -> bool:
    """`train`, which must be a Python bool; raises TypeError where it is traced."""
    if not isinstance(train, bool):
        raise TypeError(
            f"train must be a Python bool, not {type(train).__name__}: close over it, or name it "
            "in static_argnames of jax.jit."
        )
    return train


def fold_in(key: jax.Array | None, index: Any) -> Any:
    """The key of child `index`; no key stays no key."""
    return None if key is None else jax.random.fold_in(key, index)


def require_key(key: jax.Array | None, title: str) -> jax.Array:
    """The key of a layer that draws; raises ValueError where it is missing."""
    if key is None:
        raise ValueError(f"{title} draws at random under train=True: pass key=jax.random.key(...).")
    return key


# Shapes and dtypes


def spec(x: Tree) -> Tree:
    """The shapes and dtypes of a pytree, as `ShapeDtypeStruct`s."""
    return jax.eval_shape(lambda x: x, x)


def signature(x: Tree) -> Any:
    """What the params of a net for x depend on, as a key of a dict: shapes, dtypes, precision."""
    leaves, structure = jax.tree.flatten(x)
    shapes = tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    return structure, shapes, jax.config.jax_enable_x64  # pyright: ignore


def traced(x: Tree) -> bool:
    """Whether any leaf is a tracer and all have values, so that to compute is but to trace."""
    leaves = jax.tree.leaves(x)
    shapes = any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)
    return not shapes and any(isinstance(leaf, Tracer) for leaf in leaves)


def describe(x: Tree) -> str:
    """Dtypes and shapes as text: `float32[32,28,28,1]`."""

    def one(leaf):
        if not hasattr(leaf, "shape"):
            return type(leaf).__name__
        return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"

    text = str(jax.tree.map(one, x)).replace("'", "")
    return text if len(text) < 400 else f"{text[:390]} ..."


def check_features(x: Any, title: str) -> Any:
    """x, which must hold floats with a feature axis; raises TypeError where it does not."""
    if "nodes" in getattr(type(x), "_fields", ()):
        raise TypeError(
            f"{title} takes arrays, got a {type(x).__name__}: act on its nodes with "
            f"nn.graph.nodewise({title}(...))."
        )
    if not floating(x):
        bytes_ = getattr(x, "dtype", None) == jnp.uint8
        mend = "x.astype(jnp.float32)" + (" / 255, as images are" if bytes_ else "")
        raise TypeError(
            f"{title} takes floating features, got {describe(x)}: cast with {mend}, or embed what "
            "are indices."
        )
    if x.ndim == 0:
        raise ValueError(f"{title} takes [..., features], got a scalar: reshape it to [1, 1].")
    return x


def unpack_params(params: Tree, x: Any, title: str, *names: str) -> list:
    """The named params in x's dtype; raises ValueError where they are another layer's."""
    if not isinstance(params, dict) or set(params) != set(names):
        given = sorted(params) if isinstance(params, dict) else type(params).__name__
        raise ValueError(
            f"{title} takes params {list(names)}, got {given}: these are the params of another net."
        )
    return [cast(params[each], x.dtype) for each in names]


def check_same_spec(x: Tree, y: Tree, what: str) -> None:
    """Raises ValueError unless x and y agree in structure, shapes and dtypes: no broadcasting."""
    if jax.tree.structure(x) != jax.tree.structure(y) or any(
        jnp.shape(a) != jnp.shape(b) or jnp.result_type(a) != jnp.result_type(b)
        for a, b in zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True)
    ):
        raise ValueError(f"{what}: {describe(x)} against {describe(y)}; make them equal.")


@contextmanager
def error_scope(place: str, scope: str | None, layer: Layer | Cell, x: Tree) -> Iterator[None]:
    """Runs a child under its name: in profiles and jaxprs, and as a note on what goes wrong."""
    try:
        with jax.named_scope(scope) if scope else nullcontext():
            yield
    except Exception as error:
        error.add_note(f"in {place} ({layer.name}), input {describe(x)}")
        raise
