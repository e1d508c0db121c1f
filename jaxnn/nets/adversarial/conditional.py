"""Nets that depend on a class: (x, labels) in the place of x."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.flow import wire
from jaxnn.layers.dense import dense
from jaxnn.printing import factory

UNIT = jax.nn.initializers.normal(1.0)


@factory
def class_conditional(net: Any, classes: int, *, width: int | None = None) -> Layer:
    """A net that also takes a class, which it sees as additional features of x.

    y = net([x, c(labels)])

    It works for generators, whose noise [rows, latent] it extends, and for discriminators, whose
    images [rows, height, width, channels] it gives channels of one value each.

    Args:
      net: a layer from x with the additional features to y.
      classes: the number of classes. A label outside [0, classes) makes the output NaN, and so the
        loss, at which `training.fit` stops.
      width: the width of a learned vector for each class; with None, c is one-hot with `classes`
        features.

    Returns:
      A layer from (x, labels), with x [rows, ..., features] and integer labels [rows], to the
      output of the net.

    Raises:
      TypeError: at init, if x is not floating point, or if the labels are not integers.
      ValueError: if there are no classes; at init, if the input is not a pair, or if there is not
        one label for each row.

    (Mirza and Osindero, Conditional generative adversarial nets, 2014.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net = nn.gan.class_conditional(nn.mlp(8, 2), 10)
    >>> x, labels = jnp.ones((4, 3)), jnp.array([0, 1, 2, 9])
    >>> params, _ = net.init(jax.random.key(0), (x, labels))
    >>> params["net"][0]["w"].shape, net(params, (x, labels)).shape
    ((13, 8), (4, 2))
    """
    title = "class_conditional"
    classes = core.check_int(classes, f"{title}: classes")
    embed = dense(width, bias=False, w_init=UNIT) if width is not None else jax.nn.identity

    def flow(f, x):
        x, one_hot = _split_labels(x, classes, title)
        c = f.embed(one_hot)
        c = jnp.expand_dims(c, range(1, x.ndim - 1))
        c = jnp.broadcast_to(c, (*x.shape[:-1], c.shape[-1]))
        return f.net(jnp.concatenate([x, c], axis=-1))

    return wire(flow, embed=embed, net=net)


@factory
def projection_discriminator(features: Any, classes: int) -> Layer:
    """A discriminator that compares the features of x with a learned vector of its class.

    logit = w . f(x) + b + v[labels] . f(x)

    Args:
      features: a layer f from x to [rows, features], such as `dcgan_features()`.
      classes: the number of classes. A label outside [0, classes) makes the logit NaN, and so the
        loss, at which `training.fit` stops.

    Returns:
      A layer from (x, labels), with x [rows, ...] and integer labels [rows], to logits [rows, 1] of
      the features' dtype.

    Raises:
      TypeError: at init, if x is not floating point, or if the labels are not integers.
      ValueError: if there are no classes; at init, if the input is not a pair, if there is not one
        label for each row, or if the features are not [rows, features].

    (Miyato and Koyama, cGANs with projection discriminator, 2018.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> net = nn.gan.projection_discriminator(nn.gan.dcgan_features(width=8), 10)
    >>> x = jnp.ones((4, 28, 28, 1)), jnp.array([0, 1, 2, 9])
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 1)
    """
    title = "projection_discriminator"
    classes = core.check_int(classes, f"{title}: classes")

    def flow(f, x):
        x, one_hot = _split_labels(x, classes, title)
        h = f.features(x)
        if h.ndim != 2:
            raise ValueError(f"{title} takes features [rows, features], got {core.describe(h)}.")
        return f.logit(h) + jnp.sum(f.classes(h) * one_hot, axis=-1, keepdims=True)

    return wire(flow, features=features, logit=dense(1), classes=dense(classes, bias=False))


def _split_labels(x: Any, classes: int, title: str) -> tuple[jax.Array, jax.Array]:
    """(x, one-hot labels) of the pair (x, labels), with NaN for a label out of range."""
    if not isinstance(x, tuple | list) or len(x) != 2:
        raise ValueError(f"{title} takes (x, labels), got {core.describe(x)}: give it a pair.")
    x, labels = x
    core.check_features(x, title)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"{title} takes labels that are integers, got {core.describe(labels)}: cast them with "
            "labels.astype(jnp.int32)."
        )
    if labels.shape != x.shape[:1]:
        raise ValueError(
            f"{title} takes a label for each row of {core.describe(x)}, got "
            f"{core.describe(labels)}: make them [{x.shape[0]}]."
        )
    inside = (labels >= 0) & (labels < classes)
    one_hot = jax.nn.one_hot(labels, classes, dtype=x.dtype)
    return x, jnp.where(inside[:, None], one_hot, jnp.nan)
