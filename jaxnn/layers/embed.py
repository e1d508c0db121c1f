"""Token embeddings and the positions that are added to them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Cell, Layer
from jaxnn.printing import factory

UNIT_ROWS = jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal", in_axis=1, out_axis=0)
SMALL = jax.nn.initializers.normal(0.02)


@factory
def embedding(
    vocabulary: int, width: int, *, padding: int | None = None, w_init: Callable = UNIT_ROWS
) -> Layer:
    """A vector for each token, y = w[token]; for vectors as input, their logits x w^T.

    In a `wire`, calling it first with tokens and at the end with features ties the output weights
    to the input: `wire(lambda f, t: f.embed(f.body(f.embed(t))), embed=..., body=...)`.

    Args:
      vocabulary: number of tokens.
      width: length of each vector.
      padding: a token whose vector is zero and is not trained, and whose logit is 0; None for no
        such token.
      w_init: initializer of w [vocabulary, width]; by default normal with variance 1 / width, which
        makes logits of unit variance from features of unit variance.

    Returns:
      A layer from integers [...] to [..., width] in the dtype of the params, and from floats [...,
      width] to logits [..., vocabulary] in their own dtype. A token outside [0, vocabulary),
      including negative ones, gives NaN, where JAX would take the nearest; the loss is then NaN, at
      which `training.fit` stops.

    Raises:
      TypeError: if x is neither integer nor floating point.
      ValueError: if padding is outside the vocabulary, or if features have another width.

    (Mikolov et al., Efficient estimation of word representations in vector space, 2013; tying:
    Press and Wolf, Using the output embedding to improve language models, 2017.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, tokens = nn.embedding(10, 4), jnp.array([[1, 2, 3]])
    >>> params, _ = net.init(jax.random.key(0), tokens)
    >>> net(params, tokens).shape
    (1, 3, 4)
    """
    vocabulary = core.check_int(vocabulary, "embedding: vocabulary")
    width = core.check_int(width, "embedding: width")
    if (
        padding is not None
        and not 0 <= core.check_int(padding, "embedding: padding", 0) < vocabulary
    ):
        raise ValueError(
            f"embedding: padding {padding} is outside [0, {vocabulary}): take one in it."
        )

    def init(key, x):
        _holds_tokens(x)
        w = w_init(core.fold_in(key, 0), (vocabulary, width), core.param_dtype(x))
        return {"w": w if padding is None else w.at[padding].set(0)}, ()

    def table(params, x):
        (w,) = core.unpack_params(params, x, "embedding", "w")
        if w.shape != (vocabulary, width):
            raise ValueError(
                f"embedding has a table {core.describe(w)}, not [{vocabulary},{width}]: these are "
                "the params of another net."
            )
        return w

    def apply(params, state, x, *, key=None, train=False):
        if _holds_tokens(x):
            like = jax.ShapeDtypeStruct((), core.float_dtype(params))
            w = table(params, like)
            # A smaller dtype may not hold the size of the vocabulary.
            x = x.astype(jnp.int32) if x.dtype.itemsize < 4 else x
            y = w.at[x].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
            return y if padding is None else jnp.where((x == padding)[..., None], 0, y), ()
        w = table(params, x)
        if x.shape[-1] != width:
            raise ValueError(
                f"embedding takes integer tokens, or floats of its width {width} for their logits, "
                f"got {core.describe(x)}: cast tokens with x.astype(jnp.int32)."
            )
        y = jnp.matmul(x.reshape(-1, width), w.T).reshape(*x.shape[:-1], vocabulary)
        if padding is not None:
            y = y.at[..., padding].set(0)
        return y, ()

    return Layer(init, apply)


@factory
def learned_positions(length: int, *, w_init: Callable = SMALL) -> Cell:
    """Add a learned vector for each position: y_t = x_t + w[p + t], where p steps came before.

    It is a cell whose carry is p [batch], so that a sequence may come in chunks; `unroll` makes it
    a layer.

    Args:
      length: the longest sequence.
      w_init: initializer of w [length, width]; by default normal with standard deviation 0.02
        (Radford et al., Language models are unsupervised multitask learners, 2019).

    Returns:
      A cell from x [batch, time, width] to y of the same shape and dtype. Positions beyond the
      length give NaN, as tokens outside a vocabulary do.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if a chunk is longer than the length, or if x has another rank or width.

    (Gehring et al., Convolutional sequence to sequence learning, 2017.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.learned_positions(8), jnp.zeros((2, 5, 4))
    >>> params, _ = net.init(jax.random.key(0), x)
    >>> (carry, y), _ = net.apply(params, (), (net.carry(params, x), x))
    >>> carry.tolist(), bool((y[0] == params["w"][:5]).all())
    ([5, 5], True)
    """
    length = core.check_int(length, "learned_positions: length")

    def fits(x, width):
        _sequence(x, "learned_positions")
        if x.shape[1] > length or x.shape[2] != width:
            raise ValueError(
                f"learned_positions of length {length} takes at most {length} steps of width "
                f"{width}, got {core.describe(x)}: feed those, or make it longer."
            )

    def init(key, x):
        fits(x, x.shape[-1])
        w = w_init(core.fold_in(key, 0), (length, x.shape[-1]), core.param_dtype(x))
        return {"w": w}, ()

    def vectors(params, position, x):
        (w,) = core.unpack_params(params, x, "learned_positions", "w")
        fits(x, w.shape[-1])
        return w.at[position].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)

    return _positions("learned_positions", init, vectors)


@factory
def sinusoidal_positions(*, base: float = 10_000.0) -> Cell:
    """Add sine and cosine waves of the position: y_t = x_t + s(p + t), where p steps came before.

    s(t)_2i = sin(t / base^(2i / width)) and s(t)_2i+1 = cos(t / base^(2i / width)).

    It is a cell whose carry is p [batch], so that a sequence may come in chunks; `unroll` makes it
    a layer. Sequences may have any length.

    Args:
      base: the longest wavelength is 2 pi base steps.

    Returns:
      A cell from x [batch, time, width] to y of the same shape and dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if base is not above 1, or if x has another rank or an odd width.

    (Vaswani et al., Attention is all you need, 2017.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> net, x = nn.sinusoidal_positions(), jnp.zeros((1, 2, 2))
    >>> (carry, y), _ = net.apply((), (), (net.carry((), x), x))
    >>> [f"{value:.2f}" for value in y[0, 1]]
    ['0.84', '0.54']
    """
    if not 1 < base < float("inf"):
        raise ValueError(
            f"sinusoidal_positions: base must be above 1, got {base!r}: 10000.0 is usual."
        )

    def init(key, x):
        _even(x)
        return (), ()

    def vectors(params, position, x):
        dtype, width = core.param_dtype(x), _even(x)
        rate = jnp.asarray(base, dtype) ** (-jnp.arange(0, width, 2, dtype=dtype) / width)
        angle = position.astype(dtype)[..., None] * rate[None, None]
        return jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=-1).reshape(x.shape).astype(x.dtype)

    return _positions("sinusoidal_positions", init, vectors)


def _positions(title: str, init: Callable, vectors: Callable) -> Cell:
    """A cell that adds vectors(params, position [batch, time], x) and carries the position."""

    def carry(params, x):
        return jnp.zeros(_sequence(x, title).shape[:1], jnp.int32)

    def apply(params, state, carry_x, *, key=None, train=False):
        start, x = carry_x
        time = _sequence(x, title).shape[1]
        position = start[:, None] + jnp.arange(time, dtype=start.dtype)[None]
        return (start + time, x + vectors(params, position, x)), ()

    return Cell(init, carry, apply)


def _holds_tokens(x) -> bool:
    """Whether x contains tokens rather than features; raises TypeError if neither."""
    if hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.integer):
        return True
    if not core.floating(x):
        raise TypeError(
            f"embedding takes integer tokens or floating features, got {core.describe(x)}."
        )
    core.check_features(x, "embedding")
    return False


def _sequence(x, title: str):
    if core.check_features(x, title).ndim != 3:
        raise ValueError(f"{title} takes [batch, time, width], got {core.describe(x)}.")
    return x


def _even(x) -> int:
    width = _sequence(x, "sinusoidal_positions").shape[-1]
    if width % 2:
        raise ValueError(
            f"sinusoidal_positions takes an even width, a sine and a cosine a wave, got "
            f"{core.describe(x)}."
        )
    return width
