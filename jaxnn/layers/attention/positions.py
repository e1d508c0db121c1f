"""Positions that are not learned: rotations of queries and keys, and slopes of a linear bias."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import core


def rotary(
    theta: float = 10_000.0, *, width: int | None = None, interleaved: bool = False
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Rotary position embedding: rotates queries and keys so that their product depends on distance
    only.

    The i-th pair of features (a, b) at position p becomes (a cos t - b sin t, b cos t + a sin t),
    with t = p theta^(-2 i / width). Angles are computed in float32 at least.

    Args:
      theta: the base; the longest wavelength is about 2 pi theta steps.
      width: how many of the first features of a head are rotated; all by default.
      interleaved: whether pairs are neighboring features, (0, 1), (2, 3), as in the paper and in
        GPT-J; by default they are half the width apart, as in GPT-NeoX and Llama. Weights trained
        with one do not work with the other.

    Returns:
      A function of heads [batch, time, heads, features] and positions, integers [batch or 1, time],
      for `attention(..., rotary=...)`; it keeps shape and dtype of the heads.

    Raises:
      ValueError: if theta is not above 1; if the width is odd or larger than the features of a
        head.

    (Su et al., RoFormer, 2021.)

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> x, quarter_turn = jnp.array([1.0, 0.0]).reshape(1, 1, 1, 2), jnp.array([[jnp.pi / 2]])
    >>> nn.rotary()(x, quarter_turn).round(3).ravel().tolist()
    [-0.0, 1.0]
    """
    if not theta > 1:
        raise ValueError(f"rotary: theta must be above 1, got {theta!r}: 10000.0 is usual.")
    width = None if width is None else core.check_int(width, "rotary: width")

    def turn(x, positions):
        turned = x.shape[-1] if width is None else width
        if turned % 2 or turned > x.shape[-1]:
            raise ValueError(
                f"rotary turns pairs of features, got {turned} of {x.shape[-1]} a head: take an "
                "even width within the head, or other heads."
            )
        wide = core.param_dtype(x)
        rates = jnp.asarray(theta ** (-np.arange(0, turned, 2) / turned), wide)
        angles = positions[:, :, None, None].astype(wide) * rates[None, None, None]
        cos, sin = jnp.cos(angles), jnp.sin(angles)
        pairs = x[..., :turned].astype(wide)
        if interleaved:
            a, b = pairs[..., 0::2], pairs[..., 1::2]
            y = jnp.stack([a * cos - b * sin, b * cos + a * sin], axis=-1).reshape(pairs.shape)
        else:
            a, b = jnp.split(pairs, 2, axis=-1)
            y = jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
        return jnp.concatenate([y.astype(x.dtype), x[..., turned:]], axis=-1)

    return turn


def alibi_slopes(heads: int) -> np.ndarray:
    """The slopes of ALiBi: head i subtracts 2^(-8 i / heads) times the distance from logits.

    If the number of heads is not a power of two, the slopes of the next lower power come first,
    then every other slope of the next higher power, as in the authors' code.

    Args:
      heads: number of heads.

    Returns:
      float64 [heads].

    Raises:
      ValueError: if heads is less than 1.

    (Press, Smith and Lewis, Train short, test long, 2021.)

    >>> import jaxnn as nn
    >>> nn.alibi_slopes(3).tolist()
    [0.0625, 0.00390625, 0.25]
    """
    lower = 1 << (core.check_int(heads, "alibi_slopes: heads").bit_length() - 1)

    def powers(n):
        return 2.0 ** (-8.0 * np.arange(1, n + 1) / n)

    return np.concatenate([powers(lower), powers(2 * lower)[::2][: heads - lower]])
