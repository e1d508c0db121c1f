"""The dense layer: many neurons over one input, before their activation."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.printing import factory


@factory
def dense(
    width: int,
    *,
    bias: bool = True,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    b_init: Callable = jax.nn.initializers.zeros,
) -> Layer:
    """A weighted sum of the features for each of `width` outputs: y = x w + b.

    Args:
      width: outputs; x [..., features] gives y [..., width] in x's dtype.
      bias: whether there is a b [width] beside w [features, width].
      w_init, b_init: initialisers of `jax.nn`; by default LeCun normal (LeCun et al., Efficient
        backprop, 1998) and zeros.

    Raises:
      TypeError: for features that are no floats.
      ValueError: for params that take another number of features.

    >>> import jax, jaxnn as nn
    >>> params, _ = nn.dense(2).init(jax.random.key(0), jax.numpy.ones((4, 3)))
    >>> params["w"].shape, params["b"].shape
    ((3, 2), (2,))
    """
    width = core.check_int(width, "dense: width")
    names = ("w", "b") if bias else ("w",)

    def init(key, x):
        core.check_features(x, "dense")
        dtype = core.param_dtype(x)
        w = w_init(core.fold_in(key, 0), (x.shape[-1], width), dtype)
        return {"w": w, "b": b_init(core.fold_in(key, 1), (width,), dtype)} if bias else {
            "w": w
        }, ()

    def apply(params, state, x, *, key=None, train=False):
        core.check_features(x, "dense")
        w, *b = core.unpack_params(params, x, "dense", *names)
        if x.shape[-1] != w.shape[0]:
            raise ValueError(
                f"dense has params for {w.shape[0]} features, got {core.describe(x)}: feed "
                f"{w.shape[0]} features, or init with an example of {x.shape[-1]}."
            )
        # With leading axes flattened the weight gradient contracts one axis, which is faster.
        y = jnp.matmul(x.reshape(-1, x.shape[-1]), w)
        y = y + b[0][None] if b else y
        return y.reshape(*x.shape[:-1], width), ()

    return Layer(init, apply)
