"""The cost of a spiking net on a small device: quantized weights, operations and energy."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_choice, check_function, check_number
from jaxnn.core import Layer, Tree
from jaxnn.tree import UNDECAYED, path_of

# Params with one number for each feature, in any layer, which are not quantized.
VECTORS = (
    *(*UNDECAYED, "decay", "threshold", "adaptation", "adaptation_decay", "synaptic_decay"),
    *("g", "gamma", "nu", "theta", "beta_a", "beta_u", "log_width"),
)


class Scaled(NamedTuple):
    """Quantized weights: w = values * scale.

    Attributes:
      values: int8, of w's shape.
      scale: one for each output, [outputs], in float32 at least.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.spiking.dequantize(nn.spiking.Scaled(jnp.ones((1, 2), jnp.int8), jnp.ones(2))).tolist()
    [[1.0, 1.0]]
    """

    values: Any
    scale: Any


def quantize(params: Tree, bits: int = 8) -> Tree:
    """Quantize every weight to a few bits, with one scale for each output.

    values = round(w / scale), scale = max |w| / (2^{bits - 1} - 1) over all axes but the last

    Floats of two axes or more are quantized, unless their name says that they are vectors, such as
    biases, scales and the constants that neurons learn: under `repeat` those have two axes too, and
    would share a scale over depth. `nn.nbytes` of the result is the storage that it takes.

    Args:
      params: the params of any net.
      bits: bits of a weight, 2 to 8.

    Returns:
      The params, with `Scaled` in the place of each weight, and all else as it is.

    Raises:
      ValueError: if bits is not 2 to 8.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> params, _ = nn.dense(2).init(jax.random.key(0), jnp.ones((4, 3)))
    >>> quantized = nn.spiking.quantize(params)
    >>> quantized["w"].values.dtype, nn.nbytes(params), nn.nbytes(quantized)
    (dtype('int8'), 32, 22)

    (Jacob et al., Quantization and training of neural networks for efficient
    integer-arithmetic-only inference, 2018; here symmetric.)
    """
    if core.check_int(bits, "quantize: bits", 2) > 8:
        raise ValueError(f"quantize: bits must be 2 to 8, which int8 holds, got {bits}.")
    limit = 2 ** (bits - 1) - 1

    def quantized(keys, w):
        if not core.floating(w) or w.ndim < 2 or path_of(keys).split("/")[-1] in VECTORS:
            return w
        w = w.astype(core.param_dtype(w))
        scale = jnp.max(jnp.abs(w), axis=tuple(range(w.ndim - 1))) / limit
        # A column of zeros has a scale of zero, by which it must not be divided.
        divisor = jnp.where(scale > 0, scale, jnp.ones_like(scale))
        values = jnp.round(w / divisor.reshape((1,) * (w.ndim - 1) + (-1,)))
        return Scaled(values.astype(jnp.int8), scale)

    return jax.tree_util.tree_map_with_path(quantized, params)


def dequantize(params: Tree) -> Tree:
    """Turn quantized params back into floats: every `Scaled` becomes values * scale.

    Args:
      params: the result of `quantize`.

    Returns:
      The params with arrays of floats, in the dtype of the scales.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> params, _ = nn.dense(2).init(jax.random.key(0), jnp.ones((4, 3)))
    >>> rounded = nn.spiking.dequantize(nn.spiking.quantize(params))
    >>> bool(abs(rounded["w"] - params["w"]).max() < abs(params["w"]).max() / 250)
    True
    """

    def dequantized(w):
        if not isinstance(w, Scaled):
            return w
        scale = w.scale.reshape((1,) * (w.values.ndim - 1) + (-1,))
        return w.values.astype(scale.dtype) * scale

    return jax.tree.map(dequantized, params, is_leaf=lambda w: isinstance(w, Scaled))


def synaptic_operations(layer: Layer, params: Tree, x: jax.Array) -> jax.Array:
    """Count the additions that the spikes of each row cause: one for each weight a spike meets.

    It applies the layer to the nonzero entries of x, with ones for weights and zeros for biases, so
    that what lies outside the edges of a convolution is not counted.

    Args:
      layer: a layer that is linear in x, such as `dense`, `conv`, or one of them in
        `time_distributed`.
      params: the params of the layer, or their shapes.
      x: spikes [batch, ...].

    Returns:
      float32 [batch].

    Raises:
      TypeError: if params are not arrays or shapes.
      ValueError: if x is not [batch, ...], or if the layer has state.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, spikes = nn.dense(5), jnp.array([[1.0, 0.0, 1.0]])
    >>> params, _ = net.init(jax.random.key(0), spikes)
    >>> nn.spiking.synaptic_operations(net, params, spikes).tolist()
    [10.0]

    (Merolla et al., A million spiking-neuron integrated circuit with a scalable communication
    network and interface, 2014.)
    """

    def ones_for_weights(w):
        return jnp.full(w.shape, float(len(w.shape) > 1), jnp.float32)

    check_function(layer, "synaptic_operations: layer")
    for leaf in jax.tree.leaves(params):
        if not hasattr(leaf, "shape"):
            raise TypeError(f"synaptic_operations takes params of arrays, got {leaf!r}.")
    if not hasattr(x, "shape") or not x.ndim:
        raise ValueError(f"synaptic_operations takes x [batch, ...], got {core.describe(x)}.")
    y = layer(jax.tree.map(ones_for_weights, params), (x != 0).astype(jnp.float32))
    return y.sum(axis=tuple(range(1, y.ndim)))


# Picojoules of an addition and of a multiplication at 45 nm.
PICOJOULES = {
    "float32": (0.9, 3.7),
    "float16": (0.4, 1.1),
    "int32": (0.1, 3.1),
    "int8": (0.03, 0.2),
}


def energy(additions: Any, multiplies: Any = 0.0, *, kind: str = "float32") -> Any:
    """Estimate the energy of arithmetic in joules, without that of memory.

    additions e_add + multiplies e_multiply, with these picojoules at 45 nm: 0.9 and 3.7 in float32,
    0.4 and 1.1 in float16, 0.1 and 3.1 in int32, 0.03 and 0.2 in int8

    Args:
      additions: the number of additions, a number or an array; a spike needs one for each weight.
      multiplies: the number of multiplications, a number or an array; a current needs one for each
        weight in addition.
      kind: the dtype of the numbers, "float32", "float16", "int32" or "int8".

    Returns:
      Joules, a number or an array as the arguments are.

    Raises:
      ValueError: if the kind is unknown, or if a number is negative.

    >>> import jaxnn as nn
    >>> f"{nn.spiking.energy(1e6):.2g} J against {nn.spiking.energy(1e6, 1e6):.2g} J"
    '9e-07 J against 4.6e-06 J'

    (Horowitz, Computing's energy problem (and what we can do about it), 2014.)
    """
    check_choice(kind, "energy: kind", PICOJOULES)
    for number, what in ((additions, "additions"), (multiplies, "multiplies")):
        if not hasattr(number, "dtype"):
            check_number(number, f"energy: {what}", least=0)
    add, multiply = PICOJOULES[kind]
    return 1e-12 * (add * additions + multiply * multiplies)
