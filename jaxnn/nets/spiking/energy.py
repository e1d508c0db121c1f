"""What a spiking net costs on a small device: weights of few bits, operations and energy."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_choice, check_function, check_number
from jaxnn.core import Layer, Tree
from jaxnn.tree import UNDECAYED, path_of

# The params that have one number a feature, whatever layer they are of.
VECTORS = (
    *(*UNDECAYED, "decay", "threshold", "adaptation", "adaptation_decay", "synaptic_decay"),
    *("g", "gamma", "nu", "theta", "beta_a", "beta_u", "log_width"),
)


class Scaled(NamedTuple):
    """Weights as small integers: w = values * scale.

    values: int8, of w's shape.
    scale: of each output, [outputs], float32 at least.
    """

    values: Any
    scale: Any


def quantize(params: Tree, bits: int = 8) -> Tree:
    """Every weight in few bits, `Scaled`, with one scale for each output; vectors as they are.

    values = round(w / scale), scale = max |w| / (2^{bits - 1} - 1) over all axes but the last

    It is for floats of two axes and more that are not vectors by their name, such as biases, scales
    and what neurons learn of themselves: under `repeat` those have two axes too, and would share a
    scale over depth.
    `nn.nbytes` of the result is what it takes to store.

    Args:
      params: of any net.
      bits: 2 to 8.

    Raises:
      ValueError: for other bits.

    (Jacob et al., Quantization and training of neural networks for efficient
    integer-arithmetic-only inference, 2018, symmetric.)

    >>> import jax, jaxnn as nn
    >>> params, _ = nn.dense(2).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> held = nn.spiking.quantize(params)
    >>> held["w"].values.dtype, nn.nbytes(params), nn.nbytes(held)
    (dtype('int8'), 32, 22)
    """
    if core.check_int(bits, "quantize: bits", 2) > 8:
        raise ValueError(f"quantize: bits are 2 to 8, which int8 holds, got {bits}.")
    most = 2 ** (bits - 1) - 1

    def one(keys, w):
        if not core.floating(w) or w.ndim < 2 or path_of(keys).split("/")[-1] in VECTORS:
            return w
        w = w.astype(core.param_dtype(w))
        scale = jnp.max(jnp.abs(w), axis=tuple(range(w.ndim - 1))) / most
        # A column of zeros has no scale, and needs none.
        by = jnp.where(scale > 0, scale, jnp.ones_like(scale))
        values = jnp.round(w / by.reshape((1,) * (w.ndim - 1) + (-1,)))
        return Scaled(values.astype(jnp.int8), scale)

    return jax.tree_util.tree_map_with_path(one, params)


def dequantize(params: Tree) -> Tree:
    """Params of floats again: every `Scaled` as values * scale.

    >>> import jax, jaxnn as nn
    >>> params, _ = nn.dense(2).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> rounded = nn.spiking.dequantize(nn.spiking.quantize(params))
    >>> bool(abs(rounded["w"] - params["w"]).max() < abs(params["w"]).max() / 250)
    True
    """

    def one(w):
        if not isinstance(w, Scaled):
            return w
        scale = w.scale.reshape((1,) * (w.values.ndim - 1) + (-1,))
        return w.values.astype(scale.dtype) * scale

    return jax.tree.map(one, params, is_leaf=lambda w: isinstance(w, Scaled))


def synaptic_operations(layer: Layer, params: Tree, x: jax.Array) -> jax.Array:
    """Additions that the spikes of each row set off: every spike once for each weight it meets.

    It runs the layer on where x is not zero, with ones for weights and zeros for biases, so that
    what lies over the edge of a convolution is not counted.

    Args:
      layer: `dense`, `conv`, or such a layer under `each_step`, linear in x.
      params: its own, or their shapes.
      x: spikes [batch, ...].

    Returns:
      [batch], float32.

    Raises:
      ValueError: for a layer with state.

    (Merolla et al., A million spiking-neuron integrated circuit with a scalable communication
    network and interface, 2014.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, spikes = nn.dense(5), jnp.array([[1.0, 0.0, 1.0]])
    >>> params, _ = net.init(jax.random.key(0), spikes)
    >>> nn.spiking.synaptic_operations(net, params, spikes).tolist()
    [10.0]
    """

    def one(w):
        return jnp.full(w.shape, float(len(w.shape) > 1), jnp.float32)

    check_function(layer, "synaptic_operations: layer")
    for each in jax.tree.leaves(params):
        if not hasattr(each, "shape"):
            raise TypeError(f"synaptic_operations takes params of arrays, got {each!r}.")
    if not hasattr(x, "shape") or not x.ndim:
        raise ValueError(f"synaptic_operations takes x [batch, ...], got {core.describe(x)}.")
    y = layer(jax.tree.map(one, params), (x != 0).astype(jnp.float32))
    return y.sum(axis=tuple(range(1, y.ndim)))


# Picojoules of an addition and of a multiplication at 45 nm.
PICOJOULES = {
    "float32": (0.9, 3.7),
    "float16": (0.4, 1.1),
    "int32": (0.1, 3.1),
    "int8": (0.03, 0.2),
}


def energy(additions: Any, multiplies: Any = 0.0, *, kind: str = "float32") -> Any:
    """An estimate of the energy of arithmetic, in joules, memory left out.

    additions e_add + multiplies e_multiply, with what each takes at 45 nm: 0.9 and 3.7 pJ in
    float32, 0.4 and 1.1 in float16, 0.1 and 3.1 in int32, 0.03 and 0.2 in int8.

    Args:
      additions, multiplies: how many; a spike needs an addition a weight, a current both.
      kind: of the numbers, one of the four.

    Raises:
      ValueError: for another kind.

    (Horowitz, Computing's energy problem (and what we can do about it), 2014.)

    >>> import jaxnn as nn
    >>> f"{nn.spiking.energy(1e6):.2g} J against {nn.spiking.energy(1e6, 1e6):.2g} J"
    '9e-07 J against 4.6e-06 J'
    """
    check_choice(kind, "energy: kind", PICOJOULES)
    for number, what in ((additions, "additions"), (multiplies, "multiplies")):
        if not hasattr(number, "dtype"):
            check_number(number, f"energy: {what}", least=0)
    add, multiply = PICOJOULES[kind]
    return 1e-12 * (add * additions + multiply * multiplies)
