"""Autoencoders: an encoder makes a short code of x, and a decoder makes x again of the code.

Both halves are any nets; `autoencoder` is the two in a row, and `reconstruction` is the loss of the
plain, the denoising, the sparse and the contractive one. Those whose code is drawn or chosen are in
`jaxnn.nets.autoencoder.variational` and `jaxnn.nets.autoencoder.vector_quantized`.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.checks import check_choice, check_function, check_number
from jaxnn.core import Layer
from jaxnn.flow import serial, wire
from jaxnn.layers.convolution.conv import conv, conv_transpose
from jaxnn.layers.convolution.reshape import flatten
from jaxnn.layers.dense import dense
from jaxnn.losses import mse
from jaxnn.nets.mlp import mlp
from jaxnn.printing import factory


@factory
def plain_autoencoder(encoder: Any, decoder: Any) -> Layer:
    """An encoder and a decoder in a row, whose output has the shape of its input.

    y = decoder(encoder(x))

    Args:
      encoder: a layer, x [batch, ...] to a code; params are {"encoder": ..., "decoder": ...}, so
        that `encoder(params["encoder"], x)` is the code.
      decoder: a layer, the code to y of x's shape and dtype.

    Raises:
      ValueError: where the code is empty, or y differs from x in shape or dtype.

    (Hinton and Salakhutdinov, Reducing the dimensionality of data with neural networks, 2006.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.autoencoder.plain_autoencoder(nn.mlp(16, 2), nn.mlp(16, 8)), jax.numpy.ones((4,
    ...     8))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> sorted(params), net(params, x).shape
    (['decoder', 'encoder'], (4, 8))
    """

    def both(f, x):
        y = f.decoder(_code(f.encoder(x), "autoencoder"))
        core.check_same_spec(x, y, "autoencoder: the decoder must return what the encoder takes")
        return y

    return wire(both, encoder=encoder, decoder=decoder)


def dense_coder(
    shape: int | tuple[int, ...], code: int, *widths: int, activation: Callable = jax.nn.relu
) -> tuple[Layer, Layer]:
    """An encoder and a decoder of dense layers, mirrored.

    Args:
      shape: of a row: the number of features, or (height, width, channels).
      code: how wide the code is; for `variational`, twice the latents.
      *widths: of the hidden layers of the encoder; the decoder has them backwards.
      activation: after each hidden layer.

    Raises:
      ValueError: for a code or a shape of size zero; for input of another shape.

    >>> import jax, jaxnn as nn
    >>> net, x = nn.autoencoder.plain_autoencoder(*nn.autoencoder.dense_coder((8, 8, 1), 2,
    ...     16)), jax.numpy.ones((4, 8, 8, 1))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape
    (4, 8, 8, 1)
    """
    shape, widths = _shape(shape, "dense_coder"), _widths(widths, "dense_coder")
    code = core.check_int(code, "dense_coder: code")
    check_function(activation, "dense_coder: activation")
    halves = (
        mlp(*widths, code, activation=activation),
        mlp(*widths[::-1], math.prod(shape), activation=activation),
    )
    encoder = serial(_expects(shape, "dense_coder"), flatten(), halves[0])
    return encoder, serial(halves[1], lambda y: y.reshape(-1, *shape))


def conv_coder(
    shape: tuple[int, int, int],
    code: int,
    *widths: int,
    spatial: bool = False,
    activation: Callable = jax.nn.relu,
) -> tuple[Layer, Layer]:
    """An encoder of convolutions of stride 2, and a decoder of transposed ones, mirrored.

    Each width halves height and width, rounded up; the decoder crops what is too much.

    Args:
      shape: (height, width, channels) of a picture.
      code: how wide the code is; for `variational`, twice the latents.
      *widths: channels after each convolution of the encoder; the decoder has them backwards.
      spatial: whether the code is a map [batch, height / 2^n, width / 2^n, code], as `quantized`
        wants it; else it is [batch, code], by a dense layer.
      activation: after each convolution.

    Raises:
      ValueError: for no widths; for a code or a shape of size zero; for input of another shape.

    >>> import jax, jaxnn as nn
    >>> net, x = nn.autoencoder.plain_autoencoder(*nn.autoencoder.conv_coder((9, 8, 1), 2,
    ...     8)), jax.numpy.ones((4, 9, 8, 1))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> net(params, x).shape
    (4, 9, 8, 1)
    """
    title = "conv_coder"
    sides, code = _shape(shape, title), core.check_int(code, f"{title}: code")
    check_choice(spatial, f"{title}: spatial", (False, True))
    check_function(activation, f"{title}: activation")
    if len(sides) != 3 or not widths:
        raise ValueError(
            f"{title} takes (height, width, channels) and the width of each convolution, got "
            f"{shape} and {widths}: conv_coder((28, 28, 1), 32, 16, 32), say."
        )
    widths = _widths(widths, title)
    height, width, channels = sides
    small = [-(-side // 2 ** len(widths)) for side in (height, width)]
    he = jax.nn.initializers.he_normal()
    down = [_expects(sides, title)]
    for each in widths:
        down += [conv(each, 3, stride=2, w_init=he), activation]
    up = []
    for each in widths[-2::-1]:
        up += [conv_transpose(each, 4, stride=2, w_init=he), activation]
    up += [conv_transpose(channels, 4, stride=2), lambda y: y[:, :height, :width]]
    if spatial:
        return serial(*down, conv(code, 1)), serial(conv(widths[-1], 1, w_init=he), activation, *up)
    wide = [
        dense(math.prod(small) * widths[-1], w_init=he),
        activation,
        lambda y: y.reshape(-1, *small, widths[-1]),
    ]
    return serial(*down, flatten(), dense(code)), serial(*wide, *up)


def reconstruction(
    net: Any,
    distance: Callable = mse,
    *,
    corrupt: Any = None,
    encoder: Any = None,
    penalties: Mapping[str, Callable] | None = None,
) -> Callable:
    """How far a net is from giving back what it is given, for `training.step`; a batch is x alone.

    distance(net(corrupt(x)), x) + the sum of penalty(encode, corrupt(x))

    Args:
      net: a layer whose output has the shape of its input, such as an `autoencoder`.
      distance: (y, x) -> one number, `jaxnn.mse` by default.
      corrupt: a layer without params, such as `jaxnn.gaussian_noise(0.3)`, that spoils what goes in
        and not what is wanted: a denoising autoencoder. Noise layers act in training alone.
      encoder: that of the net, which the penalties look at.
      penalties: by name, such as {"sparsity": jaxnn.autoencoder.kl_sparsity(0.05)}; functions of
        encode
        (rows of x -> their code) and of rows of x, to one number.

    Returns:
      (params, state, x, *, key, train) -> (loss, (state, metrics)), whose metrics are
      "reconstruction", the distance, and each penalty by its name.

    Raises:
      ValueError: for penalties without an encoder; where y differs from x in shape.

    (Vincent et al., Extracting and composing robust features with denoising autoencoders, 2008.)

    >>> import jax, jaxnn as nn, optax
    >>> net = nn.autoencoder.plain_autoencoder(nn.mlp(16, 2), nn.mlp(16, 8))
    >>> step = nn.training.step(
    ...     nn.autoencoder.reconstruction(net, corrupt=nn.gaussian_noise(0.1)), optax.adam(1e-3)
    ... )
    """
    check_function(distance, "reconstruction: distance")
    for given, what in ((corrupt, "corrupt"), (encoder, "encoder")):
        if given is not None and not isinstance(given, Layer) and not callable(given):
            raise TypeError(f"reconstruction: {what} must be a layer, got {given!r}.")
    spoil = core.lift((lambda x: x) if corrupt is None else corrupt)
    if penalties is not None and not isinstance(penalties, Mapping):
        raise TypeError(f"reconstruction: penalties are a dict by name, got {penalties!r}.")
    penalties = dict(penalties or {})
    for title, penalty in penalties.items():
        check_function(penalty, f"reconstruction: the penalty {title!r}")
    if "reconstruction" in penalties:
        raise ValueError("reconstruction: a penalty has the name of the distance; rename it.")
    if penalties and encoder is None:
        raise ValueError("reconstruction: penalties look at the code; give the encoder as well.")
    look = core.lift(encoder) if penalties else core.lift(lambda x: x)

    def loss(params, state, batch, *, key=None, train=False):
        x, _ = spoil.apply((), (), batch, key=core.fold_in(key, 1), train=train)
        mine = core.fold_in(key, 0)
        y, after = net.apply(params, state, x, key=mine, train=train)
        metrics = {"reconstruction": distance(y, batch)}
        if penalties:
            held = () if core.is_stateless(state) else state["encoder"]

            def encode(x):
                # As the net does, with the key of its first child; compiled, it is computed once.
                drawn = core.fold_in(mine, 0)
                return look.apply(params["encoder"], held, x, key=drawn, train=train)[0]

            metrics |= {title: penalty(encode, x) for title, penalty in penalties.items()}
        return sum(metrics.values()), (after, metrics)

    return loss


def kl_sparsity(rate: float, weight: float = 1.0) -> Callable:
    """A penalty under which each unit of the code is active at `rate`, by its mean over the batch.

    weight sum over units j of rate log(rate / m_j) + (1 - rate) log((1 - rate) / (1 - m_j))

    Args:
      rate: the wanted mean activation, in (0, 1).
      weight: its weight in the loss.

    The code must lie in (0, 1), as `jax.nn.sigmoid` makes it: the logarithms of others are NaN.

    Raises:
      ValueError: for a rate out of range or a negative weight.

    (Ng, Sparse autoencoder, lecture notes of CS294A, 2011.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> nn.autoencoder.kl_sparsity(0.5)(jax.nn.sigmoid, jnp.zeros((4, 3))).tolist()
    0.0
    """
    check_number(rate, "kl_sparsity: rate, a mean activation,", above=0, below=1)
    _weight(weight, "kl_sparsity")

    def penalty(encode, x):
        code = core.at_least_float32(encode(x))
        mean = code.mean(tuple(range(code.ndim - 1)))
        active = rate * (math.log(rate) - jnp.log(mean))
        idle = (1 - rate) * (math.log1p(-rate) - jnp.log1p(-mean))
        return weight * (active + idle).sum()

    return penalty


def l1_sparsity(weight: float) -> Callable:
    """A penalty on the size of the code: weight times the mean over rows of sum_j |code_j|.

    Raises:
      ValueError: for a negative weight.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.autoencoder.l1_sparsity(0.5)(lambda x: -x, jnp.array([[1.0, -3.0]])).tolist()
    2.0
    """
    _weight(weight, "l1_sparsity")
    return lambda encode, x: weight * jnp.abs(core.at_least_float32(encode(x))).sum() / x.shape[0]


def contraction(weight: float) -> Callable:
    """A penalty on how fast the code changes with x: weight times the mean of `jacobian_norm`.

    Raises:
      ValueError: for a negative weight.

    (Rifai et al., Contractive auto-encoders, 2011.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.autoencoder.contraction(0.5)(lambda x: 2 * x, jnp.ones((4, 3))).tolist()
    6.0
    """
    _weight(weight, "contraction")
    return lambda encode, x: weight * jacobian_norm(encode, x).mean()


def jacobian_norm(function: Callable, x: jax.Array) -> jax.Array:
    """The squared Frobenius norm of the Jacobian of each row: sum over i, j of (d f_j / d x_i)^2.

    It is exact: a derivative is pushed forward for each feature of a row, or pulled back for each
    of its outputs, whichever are fewer. For one layer of sigmoids, f = s(x w + b), it equals the
    closed form sum_j (f_j (1 - f_j))^2 sum_i w_ij^2 of the paper, and holds for any other net too.

    Args:
      function: rows [batch, ...] to rows [batch, ...], which do not see each other.
      x: floats [batch, ...].

    Returns:
      [batch].

    (Rifai et al., Contractive auto-encoders, 2011.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.autoencoder.jacobian_norm(jnp.square, jnp.array([[1.0, 2.0]])).tolist()
    [20.0]
    """
    check_function(function, "jacobian_norm: function")
    if core.check_features(x, "jacobian_norm").ndim < 2:
        raise ValueError(f"jacobian_norm takes x [batch, ...], got {core.describe(x)}.")
    y = jax.eval_shape(function, x)
    if not core.floating(y) or y.shape[:1] != x.shape[:1]:
        raise ValueError(
            f"jacobian_norm takes a function of rows to rows, got {core.describe(y)} of "
            f"{core.describe(x)}."
        )
    inputs, outputs = math.prod(x.shape[1:]), math.prod(y.shape[1:])
    if inputs <= outputs:
        n, like, derive = inputs, x, jax.linearize(function, x)[1]
    else:
        pull = jax.vjp(function, x)[1]
        n, like, derive = outputs, y, lambda direction: pull(direction)[0]

    def along(unit):
        row = unit.reshape(1, *like.shape[1:])
        slope = derive(jnp.broadcast_to(row, like.shape))
        return jnp.square(core.at_least_float32(slope)).sum(tuple(range(1, slope.ndim)))

    return jax.vmap(along)(jnp.eye(n, dtype=like.dtype)).sum(axis=0)


def _code(code: Any, title: str) -> Any:
    if any(0 in jnp.shape(leaf)[1:] for leaf in jax.tree.leaves(code)):
        raise ValueError(f"{title}: the code is {core.describe(code)}, which holds nothing.")
    return code


def _shape(shape: Any, title: str) -> tuple[int, ...]:
    sides = shape if isinstance(shape, tuple | list) else (shape,)
    return tuple(core.check_int(side, f"{title}: shape") for side in sides)


def _expects(shape: tuple[int, ...], title: str) -> Callable:
    def unchanged(x):
        if core.check_features(x, title).shape[1:] != shape:
            raise ValueError(f"{title} is for rows of {list(shape)}, got {core.describe(x)}.")
        return x

    return unchanged


def _weight(weight: float, title: str) -> None:
    check_number(weight, f"{title}: weight", least=0)


def _widths(widths: tuple, title: str) -> tuple[int, ...]:
    return tuple(core.check_int(width, f"{title}: widths") for width in widths)
