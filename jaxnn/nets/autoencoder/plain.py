"""The plain autoencoder and its loss.

`plain_autoencoder` composes any encoder with any decoder. `reconstruction` is the loss of the
plain, the denoising, the sparse and the contractive autoencoder.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_function
from jaxnn.core import Layer
from jaxnn.flow import wire
from jaxnn.losses import mse
from jaxnn.printing import factory


@factory
def plain_autoencoder(encoder: Any, decoder: Any) -> Layer:
    """An encoder followed by a decoder; the output has the shape of the input.

    y = decoder(encoder(x))

    The params are {"encoder": ..., "decoder": ...}, so `encoder(params["encoder"], x)` computes
    the code.

    Args:
      encoder: a layer from x to a code.
      decoder: a layer from the code to y, of x's shape and dtype.

    Returns:
      A layer from x [batch, ...] to y [batch, ...] of the same shape and dtype.

    Raises:
      ValueError: if the code is empty, or if y differs from x in shape or dtype.

    (Hinton and Salakhutdinov, Reducing the dimensionality of data with neural networks, 2006.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net = nn.autoencoder.plain_autoencoder(nn.mlp(16, 2), nn.mlp(16, 8))
    >>> x = jnp.ones((4, 8))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> sorted(params), net(params, x).shape
    (['decoder', 'encoder'], (4, 8))
    """

    def flow(f, x):
        code = f.encoder(x)
        _check_code(code)
        y = f.decoder(code)
        rule = "the decoder must return the shape and dtype that the encoder takes"
        core.check_same_spec(x, y, f"plain_autoencoder: {rule}")
        return y

    return wire(flow, encoder=encoder, decoder=decoder)


def _check_code(code: Any) -> None:
    if any(0 in jnp.shape(leaf)[1:] for leaf in jax.tree.leaves(code)):
        raise ValueError(f"plain_autoencoder: the code {core.describe(code)} is empty.")


def reconstruction(
    net: Any,
    distance: Callable = mse,
    *,
    corrupt: Any = None,
    encoder: Any = None,
    penalties: Mapping[str, Callable] | None = None,
) -> Callable:
    """The reconstruction loss of an autoencoder, for `training.step`; a batch is x alone.

    loss = distance(net(corrupt(x)), x) + sum of penalty(encode, corrupt(x))

    Args:
      net: a layer whose output has the shape of its input, such as a `plain_autoencoder`.
      distance: (y, x) -> a scalar; `jaxnn.mse` by default.
      corrupt: a layer without params that corrupts the input but not the target, such as
        `jaxnn.gaussian_noise(0.3)`: it makes a denoising autoencoder. Noise layers act only in
        training.
      encoder: the encoder of the net; the penalties need it.
      penalties: functions by name, such as {"sparsity": jaxnn.autoencoder.kl_sparsity(0.05)}. Each
        takes `encode` (rows of x -> their code) and rows of x, and returns a scalar.

    Returns:
      A loss (params, state, x, *, key, train) -> (loss, (state, metrics)). The metrics are
      "reconstruction", which is the distance, and each penalty under its name.

    Raises:
      TypeError: if an argument is of the wrong kind.
      ValueError: if there are penalties without an encoder, or if a penalty is named
        "reconstruction"; at the first call, if y and x differ in shape.

    (Vincent et al., Extracting and composing robust features with denoising autoencoders, 2008.)

    >>> import jaxnn as nn, optax
    >>> net = nn.autoencoder.plain_autoencoder(nn.mlp(16, 2), nn.mlp(16, 8))
    >>> loss = nn.autoencoder.reconstruction(net, corrupt=nn.gaussian_noise(0.1))
    >>> step = nn.training.step(loss, optax.adam(1e-3))
    """
    check_function(distance, "reconstruction: distance")
    for layer, argument in ((corrupt, "corrupt"), (encoder, "encoder")):
        if layer is not None and not isinstance(layer, Layer) and not callable(layer):
            raise TypeError(f"reconstruction: {argument} must be a layer, got {layer!r}.")
    corruption = core.lift((lambda x: x) if corrupt is None else corrupt)
    if penalties is not None and not isinstance(penalties, Mapping):
        raise TypeError(f"reconstruction: penalties must be a dict by name, got {penalties!r}.")
    penalties = dict(penalties or {})
    for title, penalty in penalties.items():
        check_function(penalty, f"reconstruction: the penalty {title!r}")
    if "reconstruction" in penalties:
        raise ValueError(
            'reconstruction: "reconstruction" is the name of the distance: rename the penalty.'
        )
    if penalties and encoder is None:
        raise ValueError("reconstruction: penalties need the code: give the encoder as well.")
    code_layer = core.lift(encoder) if penalties else core.lift(lambda x: x)

    def loss(params, state, batch, *, key=None, train=False):
        x, _ = corruption.apply((), (), batch, key=core.fold_in(key, 1), train=train)
        net_key = core.fold_in(key, 0)
        y, new_state = net.apply(params, state, x, key=net_key, train=train)
        metrics = {"reconstruction": distance(y, batch)}
        if penalties:
            encoder_state = () if core.is_stateless(state) else state["encoder"]

            def encode(x):
                # The net gives its first child this key too, so XLA computes the code only once.
                encoder_key = core.fold_in(net_key, 0)
                return code_layer.apply(
                    params["encoder"], encoder_state, x, key=encoder_key, train=train
                )[0]

            metrics |= {title: penalty(encode, x) for title, penalty in penalties.items()}
        return sum(metrics.values()), (new_state, metrics)

    return loss
