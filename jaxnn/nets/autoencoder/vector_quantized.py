"""Vector-quantized autoencoders (VQ-VAE): every vector of the code is an entry of a codebook."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from jaxnn import core
from jaxnn.checks import check_function, check_number
from jaxnn.core import Layer
from jaxnn.flow import wire
from jaxnn.layers.distance import nearest
from jaxnn.losses import mse
from jaxnn.printing import factory
from jaxnn.sequences.masks import broadcast_mask, split_mask, zero_masked


class Quantized(NamedTuple):
    """The output of a vector quantizer for z [batch, ..., features].

    code: the nearest vectors of the codebook, [batch, ..., features]; their gradient passes
      unchanged to z.
    index: their indices in the codebook, int32 [batch, ...].
    commitment: the mean of |z - stop(code)|^2 over each row, [batch]; it draws z to the codebook.
    codebook: the mean of |stop(z) - code|^2 over each row, [batch]; it draws the codebook to z. It
      is zero if the codebook is learned by moving averages.
    """

    code: Any
    index: Any
    commitment: Any
    codebook: Any


export.register_namedtuple_serialization(Quantized, serialized_name="jaxnn.autoencoder.Quantized")


@factory
def vector_quantizer(
    codes: int,
    *,
    decay: float | None = None,
    codebook_init: Callable = jax.random.normal,
) -> Layer:
    """A layer that replaces each vector z with the nearest vector of a codebook.

    i = argmin_k |z - e_k|^2, code = e_i

    The gradient is straight-through: code = z + stop(e_i - z).

    The codebook is learned in one of two ways. By the gradient, it is in params and follows the
    `codebook` term of the loss. By moving averages, it is in state, beside the counts n: for the m
    vectors z of a training step that chose k,

    n_k <- decay n_k + (1 - decay) m,  e_k <- e_k + (1 - decay) sum (z - e_k) / n_k

    This makes e_k the average of all vectors that ever chose k, with more weight on recent ones. An
    entry that no vector chooses stays unchanged.

    Args:
      codes: the number of vectors in the codebook.
      decay: the fraction of the averages that each step keeps, in [0, 1), such as 0.99; with None
        the codebook is learned by the gradient.
      codebook_init: an initializer of the codebook [codes, features]; standard normal by default,
        so the features of z should be of about that size.

    Returns:
      A layer from z [batch, ..., features], or (z, mask) with mask bool [batch, time], to a
      `Quantized` of z's dtype. With a mask, the averages and the terms of the loss cover only the
      valid vectors.

    Raises:
      TypeError: if z is not floating point.
      ValueError: if codes is less than 1, if decay is out of range, or if z has no features or
        another width than the codebook.

    (van den Oord, Vinyals and Kavukcuoglu, Neural discrete representation learning, 2017.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, z = nn.autoencoder.vector_quantizer(16), jnp.ones((4, 7, 7, 8))
    >>> params, _ = net.init(jax.random.key(0), z)
    >>> net(params, z).index.shape
    (4, 7, 7)
    """
    title = "vector_quantizer"
    codes = core.check_int(codes, f"{title}: codes")
    check_function(codebook_init, f"{title}: codebook_init")
    if decay is not None:
        check_number(decay, f"{title}: decay, unless it is None,", least=0, below=1)

    def init(key, x):
        x, _ = split_mask(x, title)
        if core.check_features(x, title).ndim < 2 or not x.shape[-1]:
            raise ValueError(f"{title} takes [batch, ..., features], got {core.describe(x)}.")
        dtype = core.param_dtype(x)
        codebook = codebook_init(core.fold_in(key, 0), (codes, x.shape[-1]), dtype)
        if decay is None:
            return {"codebook": codebook}, ()
        return (), {"codebook": codebook, "counts": jnp.ones((codes,), dtype)}

    def apply(params, state, x, *, key=None, train=False):
        x, mask = split_mask(x, title)
        z = core.check_features(x if mask is None else zero_masked(x, mask), title)
        if decay is None:
            (codebook,) = core.unpack_params(params, z, title, "codebook")
        else:
            codebook = core.require_state(state, title)["codebook"].astype(z.dtype)
        width = codebook.shape[1]
        if z.shape[-1:] != (width,):
            raise ValueError(
                f"{title} has vectors of {width} features, got {core.describe(z)}: give {width} "
                "features, or call init with this z."
            )
        index = nearest(z, codebook)
        chosen = codebook[index]
        stop = jax.lax.stop_gradient
        commitment = _mean_square(z - stop(chosen), mask)
        codebook_loss = jnp.zeros_like(commitment)
        if decay is None:
            codebook_loss = _mean_square(stop(z) - chosen, mask)
        elif core.check_train(train):
            state = _update_averages(state, stop(z), index, decay, mask)
        return Quantized(z + stop(chosen - z), index, commitment, codebook_loss), state

    return Layer(init, apply, title if decay is not None else "")


def _mean_square(x: jax.Array, mask: jax.Array | None) -> jax.Array:
    """The mean of the squares of each row, over its valid vectors."""
    axes, squares = tuple(range(1, x.ndim)), jnp.square(core.at_least_float32(x))
    if mask is None:
        return squares.mean(axes).astype(x.dtype)
    valid = jnp.broadcast_to(broadcast_mask(mask, squares), squares.shape)
    total = jnp.where(valid, squares, 0).sum(axes)
    return (total / jnp.maximum(valid.sum(axes), 1).astype(total.dtype)).astype(x.dtype)


def _update_averages(
    state: dict, z: jax.Array, index: jax.Array, decay: float, mask: jax.Array | None
) -> dict:
    """The codebook and its counts after one step of the moving averages of the valid vectors."""
    codebook, counts = state["codebook"], state["counts"]
    z = z.reshape(-1, z.shape[-1]).astype(codebook.dtype)
    choices = jax.nn.one_hot(index.reshape(-1), len(counts), dtype=codebook.dtype)
    if mask is not None:
        choices = choices * broadcast_mask(mask, index).reshape(-1, 1).astype(choices.dtype)
    chosen = choices.sum(axis=0)
    counts = decay * counts + (1 - decay) * chosen
    total = jnp.matmul(choices.T, z, precision="highest")
    # The count of an entry that is long unused approaches zero, and its numerator is zero.
    step = (1 - decay) / jnp.maximum(counts, jnp.finfo(counts.dtype).tiny)
    step = jnp.where(chosen > 0, step, jnp.zeros_like(step))
    codebook = codebook + step[:, None] * (total - chosen[:, None] * codebook)
    return {"codebook": codebook, "counts": counts}


@factory
def vector_quantized(encoder: Any, quantizer: Any, decoder: Any) -> Layer:
    """An encoder, a vector quantizer and a decoder: x to (output, `Quantized`).

    output = decoder(quantizer(encoder(x)).code)

    Args:
      encoder: a layer from x to vectors z [batch, ..., features], such as the first of
        `conv_coder(..., spatial=True)`.
      quantizer: a layer made by `vector_quantizer`.
      decoder: a layer from codes of z's shape to the output.

    Returns:
      A layer from x [batch, ...] to (output, `Quantized`): the decoder's output [batch, ...] and
      the codes of z's dtype.

    Raises:
      TypeError: at init, if z is not floating point.
      ValueError: at init, if z is not [batch, ..., features].

    (van den Oord, Vinyals and Kavukcuoglu, Neural discrete representation learning, 2017.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> encoder, decoder = nn.autoencoder.conv_coder((8, 8, 1), 4, 16, 16, spatial=True)
    >>> net = nn.autoencoder.vector_quantized(encoder, nn.autoencoder.vector_quantizer(32), decoder)
    >>> x = jnp.ones((4, 8, 8, 1))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> output, quantized = jax.eval_shape(net, params, x)
    >>> output.shape, quantized.index.shape
    ((4, 8, 8, 1), (4, 2, 2))
    """

    def flow(f, x):
        quantized = f.quantizer(f.encoder(x))
        return f.decoder(quantized.code), quantized

    return wire(flow, encoder=encoder, quantizer=quantizer, decoder=decoder)


def quantized_loss(net: Any, distance: Callable = mse, *, commitment: float = 0.25) -> Callable:
    """The loss of a `vector_quantized` net, for `training.step`; a batch is x alone.

    loss = distance(output, x) + mean(codebook term) + commitment * mean(commitment term)

    Args:
      net: a net made by `vector_quantized`.
      distance: (output, x) -> a scalar; `jaxnn.mse` by default.
      commitment: the weight of the commitment term, which draws z to the codebook.

    Returns:
      A loss (params, state, x, *, key, train) -> (loss, (state, metrics)). The metrics are
      "reconstruction", which is the distance, "commitment", without its weight, and "perplexity",
      the effective number of codes in use in this batch (see `perplexity`).

    Raises:
      ValueError: if the commitment is negative or not finite.

    (van den Oord, Vinyals and Kavukcuoglu, Neural discrete representation learning, 2017.)

    >>> import jaxnn as nn, optax
    >>> encoder, decoder = nn.autoencoder.conv_coder((8, 8, 1), 4, 16, 16, spatial=True)
    >>> quantizer = nn.autoencoder.vector_quantizer(32, decay=0.99)
    >>> net = nn.autoencoder.vector_quantized(encoder, quantizer, decoder)
    >>> step = nn.training.step(nn.autoencoder.quantized_loss(net), optax.adam(1e-3))
    """
    check_number(commitment, "quantized_loss: commitment", least=0)
    check_function(distance, "quantized_loss: distance")

    def loss(params, state, batch, *, key=None, train=False):
        (output, quantized), state = net.apply(params, state, batch, key=key, train=train)
        metrics = {
            "reconstruction": distance(output, batch),
            "commitment": quantized.commitment.mean(),
            "perplexity": perplexity(quantized.index),
        }
        total = metrics["reconstruction"] + quantized.codebook.mean()
        return total + commitment * metrics["commitment"], (state, metrics)

    return loss


def perplexity(index: jax.Array) -> jax.Array:
    """The effective number of codes in use.

    perplexity = exp(-sum p log p), with p the share of each index

    It is n if n codes are used equally often, and 1 if only one code is used.

    Args:
      index: integers of any shape, at least one.

    Returns:
      A floating point scalar.

    Raises:
      ValueError: if the indices are not integers, or if there are none.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.autoencoder.perplexity(jnp.array([3, 5, 3, 5])).tolist()
    2.0
    """
    integers = hasattr(index, "dtype") and jnp.issubdtype(index.dtype, jnp.integer)
    if not integers or not index.size:
        raise ValueError(f"perplexity takes at least one integer, got {core.describe(index)}.")
    index = jnp.sort(index.ravel())
    first, last = (jnp.searchsorted(index, index, side) for side in ("left", "right"))
    # The mean of -log p over the vectors is the sum over the codes, however many there are.
    return jnp.exp(-jnp.log((last - first) / index.size).mean())
