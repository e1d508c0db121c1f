"""The feedforward part of a transformer: each step of a sequence on its own, to more features and
back.
"""

from collections.abc import Callable
from functools import partial

import jax

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.flow import wire
from jaxnn.layers.dense import dense
from jaxnn.layers.noise import dropout as dropout_layer
from jaxnn.printing import factory


@factory
def feed_forward(
    width: int,
    *,
    activation: Callable = jax.nn.gelu,
    gated: bool = False,
    bias: bool = True,
    dropout: float = 0.0,
    w_init: Callable = jax.nn.initializers.lecun_normal(),
    b_init: Callable = jax.nn.initializers.zeros,
    out_init: Callable | None = None,
) -> Layer:
    """Two dense layers with an activation between them: y = activation(x u + b) d + c.

    Gated, it is y = (activation(x g + a) * (x u + b)) d + c: SwiGLU with `jax.nn.silu`, GEGLU with
    `jax.nn.gelu`. Params are {"up", "down"}, and "gate" if it is gated.

    Args:
      width: number of hidden features.
      activation: an elementwise function.
      gated: whether there is a gate.
      bias: whether the dense layers have biases.
      dropout: the fraction of hidden features dropped in training, in [0, 1).
      w_init: initializer of the weights, as in `dense`.
      b_init: initializer of the biases, as in `dense`.
      out_init: initializer of the weight of "down"; w_init by default.

    Returns:
      A layer from x [..., features] to y of the same shape and dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if width is less than 1, if dropout is out of range, or if the params belong to
        another net.

    (Vaswani et al., Attention is all you need, 2017; gates: Shazeer, GLU variants improve
    transformer, 2020.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.feed_forward(32, activation=jax.nn.silu, gated=True), jnp.ones((2, 5, 8))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape, sorted(params)
    ((2, 5, 8), ['down', 'gate', 'up'])
    """
    width = core.check_int(width, "feed_forward: width")
    layer = partial(dense, bias=bias, b_init=b_init)
    into = {"gate": layer(width, w_init=w_init)} if gated else {}
    into["up"] = layer(width, w_init=w_init)
    drop = dropout_layer(dropout)
    # For the gradient only the outputs of the dense layers are kept, not the inside of a GELU.
    active = (lambda gate, up: activation(gate) * up) if gated else activation
    active = jax.checkpoint(active, prevent_cse=False)

    def net(features, key=None, train=False):
        def flow(f, x):
            h = active(f.gate(x), f.up(x)) if gated else active(f.up(x))
            return f.down(drop.apply((), (), h, key=key, train=train)[0])

        return wire(flow, **into, down=layer(features, w_init=out_init or w_init))

    def init(key, x):
        return net(core.check_features(x, "feed_forward").shape[-1]).init(key, x)

    def apply(params, state, x, *, key=None, train=False):
        features = core.check_features(x, "feed_forward").shape[-1]
        y, _ = net(features, key, core.check_train(train)).apply(
            params, (), x.reshape(-1, features)
        )
        return y.reshape(x.shape), ()

    return Layer(init, apply)
