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
      width: number of outputs.
      bias: whether to add b [width].
      w_init: initializer of w [features, width]; LeCun normal by default (LeCun et al., Efficient
        backprop, 1998).
      b_init: initializer of b; zeros by default.

    Returns:
      A layer from x [..., features] to y [..., width] of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if width is less than 1, or if the params take another number of features.

    (Rosenblatt, The perceptron, 1958.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.dense(2), jnp.ones((4, 3))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> params["w"].shape, params["b"].shape, net(params, x).shape
    ((3, 2), (2,), (4, 2))
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
        # With the leading axes flattened, the weight gradient contracts one axis, which is faster.
        y = jnp.matmul(x.reshape(-1, x.shape[-1]), w)
        y = y + b[0][None] if b else y
        return y.reshape(*x.shape[:-1], width), ()

    return Layer(init, apply)
