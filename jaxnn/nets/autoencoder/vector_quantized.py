"""Vector-quantised autoencoders: the code is chosen from a book, so that a row is a few words."""

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
    """What a vector quantizer makes of z [batch, ..., features].

    code: the nearest vectors of the book, [batch, ..., features]; its gradient goes to z as it is.
    index: which ones, int32 [batch, ...].
    commitment: mean |z - stop(code)|^2 of each row, [batch], which draws z to the book.
    codebook: mean |stop(z) - code|^2 of each row, [batch], which draws the book to z; zero where
      the book learns by moving averages.
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
    """Each vector z replaced by the nearest of a book: i = argmin_k |z - e_k|^2, code = e_i.

    The code passes its gradient on to z: code = z + stop(e_i - z).

    The book learns in one of two ways. By the gradient it is in params, and follows the `codebook`
    term of the loss. By moving averages it is in state, beside the counts n: in training, for the m
    vectors z that chose k,

      n_k <- decay n_k + (1 - decay) m,  e_k <- e_k + (1 - decay) sum (z - e_k) / n_k

    which is the average of all the vectors that ever chose k, the later ones weighing more. A code
    that none chooses stays where it is.

    Of (x, mask), with mask bool [batch, time], the averages and the terms of the loss are those of
    the valid vectors alone.

    Args:
      codes: vectors in the book.
      decay: what is kept of the averages at each step, in [0, 1), such as 0.99; None for a book
        that learns by the gradient.
      codebook_init: initialiser of the book [codes, features]; standard normal by default, so that
        z should have features of about that size.

    Raises:
      TypeError: for z that is no floats.
      ValueError: for codes less than 1, a decay out of range, or z of another width.

    (van den Oord, Vinyals and Kavukcuoglu, Neural discrete representation learning, 2017.)

    >>> import jax, jaxnn as nn
    >>> net, z = nn.autoencoder.vector_quantizer(16), jax.numpy.ones((4, 7, 7, 8))
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
        x, _ = split_mask(x)
        if core.check_features(x, title).ndim < 2 or not x.shape[-1]:
            raise ValueError(f"{title} takes [batch, ..., features], got {core.describe(x)}.")
        dtype = core.param_dtype(x)
        book = {"codebook": codebook_init(core.fold_in(key, 0), (codes, x.shape[-1]), dtype)}
        if decay is None:
            return book, ()
        return (), book | {"counts": jnp.ones((codes,), dtype)}

    def apply(params, state, x, *, key=None, train=False):
        x, mask = split_mask(x)
        z = core.check_features(x if mask is None else zero_masked(x, mask), title)
        if decay is None:
            (book,) = core.unpack_params(params, z, title, "codebook")
        else:
            book = core.require_state(state, title)["codebook"].astype(z.dtype)
        if z.shape[-1:] != book.shape[1:]:
            raise ValueError(
                f"{title} has vectors of {book.shape[1]} features, got {core.describe(z)}: feed "
                f"{book.shape[1]}, or init with this z."
            )
        index = nearest(z, book)
        chosen = book[index]
        stop = jax.lax.stop_gradient
        commitment = _mean_square(z - stop(chosen), mask)
        pulled = jnp.zeros_like(commitment)
        if decay is None:
            pulled = _mean_square(stop(z) - chosen, mask)
        elif core.check_train(train):
            state = _followed(state, stop(z), index, decay, mask)
        return Quantized(z + stop(chosen - z), index, commitment, pulled), state

    return Layer(init, apply, title if decay is not None else "")


def _mean_square(x: jax.Array, mask: jax.Array | None) -> jax.Array:
    """The mean of each row's squares, over its valid vectors."""
    axes, squares = tuple(range(1, x.ndim)), jnp.square(core.at_least_float32(x))
    if mask is None:
        return squares.mean(axes).astype(x.dtype)
    held = jnp.broadcast_to(broadcast_mask(mask, squares), squares.shape)
    total = jnp.where(held, squares, 0).sum(axes)
    return (total / jnp.maximum(held.sum(axes), 1).astype(total.dtype)).astype(x.dtype)


def _followed(
    state: dict, z: jax.Array, index: jax.Array, decay: float, mask: jax.Array | None
) -> dict:
    """The book and its counts after one step of the moving averages of the valid vectors."""
    book, counts = state["codebook"], state["counts"]
    z = z.reshape(-1, z.shape[-1]).astype(book.dtype)
    choices = jax.nn.one_hot(index.reshape(-1), len(counts), dtype=book.dtype)
    if mask is not None:
        choices = choices * broadcast_mask(mask, index).reshape(-1, 1).astype(choices.dtype)
    chosen = choices.sum(axis=0)
    counts = decay * counts + (1 - decay) * chosen
    total = jnp.matmul(choices.T, z, precision="highest")
    # Counts of codes long unused come near zero, where the numerator is zero.
    step = (1 - decay) / jnp.maximum(counts, jnp.finfo(counts.dtype).tiny)
    step = jnp.where(chosen > 0, step, jnp.zeros_like(step))
    moved = book + step[:, None] * (total - chosen[:, None] * book)
    return {"codebook": moved, "counts": counts}


@factory
def vector_quantized(encoder: Any, quantizer: Any, decoder: Any) -> Layer:
    """An encoder, a quantizer and a decoder: x to (output, `Quantized`).

    Args:
      encoder: a layer, x to vectors z [batch, ..., features], such as one half of
        `conv_coder(..., spatial=True)`.
      quantizer: made by `vector_quantizer`.
      decoder: a layer, codes of z's shape to the output.

    (van den Oord, Vinyals and Kavukcuoglu, Neural discrete representation learning, 2017.)

    >>> import jax, jaxnn as nn
    >>> encoder, decoder = nn.autoencoder.conv_coder((8, 8, 1), 4, 16, 16, spatial=True)
    >>> net = nn.autoencoder.vector_quantized(encoder, nn.autoencoder.vector_quantizer(32), decoder)
    >>> params, _ = net.init(jax.random.key(0), jax.numpy.ones((4, 8, 8, 1)))
    >>> output, chosen = net(params, jax.numpy.ones((4, 8, 8, 1)))
    >>> output.shape, chosen.index.shape
    ((4, 8, 8, 1), (4, 2, 2))
    """

    def flow(f, x):
        chosen = f.quantizer(f.encoder(x))
        return f.decoder(chosen.code), chosen

    return wire(flow, encoder=encoder, quantizer=quantizer, decoder=decoder)


def quantized_loss(net: Any, distance: Callable = mse, *, commitment: float = 0.25) -> Callable:
    """The loss of a `quantized` net, for `training.step`; a batch is x alone.

    distance(output, x) + mean(codebook) + commitment mean(commitment of the `Quantized`)

    Args:
      net: made by `quantized`.
      distance: (output, x) -> one number, `jaxnn.mse` by default.
      commitment: the weight with which z is drawn to the book.

    Returns:
      (params, state, x, *, key, train) -> (loss, (state, metrics)), whose metrics are
      "reconstruction", the distance, "commitment", without its weight, and "perplexity", how many
      codes are in use in this batch: exp(-sum p log p) over the share p of each.

    Raises:
      ValueError: for a commitment that is negative or not finite.

    >>> import jax, jaxnn as nn, optax
    >>> encoder, decoder = nn.autoencoder.conv_coder((8, 8, 1), 4, 16, 16, spatial=True)
    >>> net = nn.autoencoder.vector_quantized(encoder, nn.autoencoder.vector_quantizer(32,
    ...     decay=0.99), decoder)
    >>> step = nn.training.step(nn.autoencoder.quantized_loss(net), optax.adam(1e-3))
    """
    check_number(commitment, "quantized_loss: commitment", least=0)
    check_function(distance, "quantized_loss: distance")

    def loss(params, state, batch, *, key=None, train=False):
        (output, chosen), state = net.apply(params, state, batch, key=key, train=train)
        metrics = {
            "reconstruction": distance(output, batch),
            "commitment": chosen.commitment.mean(),
            "perplexity": perplexity(chosen.index),
        }
        total = metrics["reconstruction"] + chosen.codebook.mean()
        return total + commitment * metrics["commitment"], (state, metrics)

    return loss


def perplexity(index: jax.Array) -> jax.Array:
    """How many codes are in use: exp(-sum p log p) over the share p of each index, in any shape.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> nn.autoencoder.perplexity(jnp.array([3, 5, 3, 5])).tolist()
    2.0
    """
    whole = hasattr(index, "dtype") and jnp.issubdtype(index.dtype, jnp.integer)
    if not whole or not index.size:
        raise ValueError(f"perplexity takes integers, at least one, got {core.describe(index)}.")
    index = jnp.sort(index.ravel())
    first, last = (jnp.searchsorted(index, index, side) for side in ("left", "right"))
    # The mean of -log p over the vectors is the sum over the codes, however many there are.
    return jnp.exp(-jnp.log((last - first) / index.size).mean())
