"""The artificial neuron, and the whole of this library on one page.

**Forward.** A neuron weighs its inputs, adds a bias and passes the sum through an activation:

    z = x . w + b        y = activation(z)

Its params are a pytree, a dict of `w` [features] and `b` []. Nothing else is hidden anywhere:

>>> import jax, jax.numpy as jnp
>>> from jaxnn.layers.neuron import neuron, weighted_sum
>>> from jaxnn.losses import mse
>>> params = {"w": jnp.array([0.5, -0.5]), "b": jnp.zeros(())}
>>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
>>> weighted_sum(params, x)
Array([ 0.5, -0.5,  0. ,  0. ], dtype=float32)
>>> neuron(params, x, jax.nn.relu)
Array([0.5, 0. , 0. , 0. ], dtype=float32)

**Loss.** How wrong it is on m samples is one number, the mean squared error
E = 1/m sum (y - t)^2. Here the neuron is to learn t = 2 x_0 + 1:

>>> t = 2 * x[:, 0] + 1
>>> def loss(params):
...     return mse(neuron(params, x), t)
>>> print(loss(params))
4.625

**Gradient.** `jax.grad` derives dE/dw and dE/db by the chain rule, backwards through the very lines
that computed the loss. By hand, for a linear neuron, dE/dw = 2/m sum (y - t) x:

>>> gradient = jax.grad(loss)(params)
>>> by_hand = 2 / 4 * (neuron(params, x) - t) @ x
>>> bool(jnp.allclose(gradient["w"], by_hand))
True

**One step downhill.** The gradient points uphill, so a small step against it lowers the loss:

>>> params = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)
>>> print(f"{loss(params):.4f}")
2.2166

**Many steps, compiled.** `jax.jit` compiles the step once for CPU, GPU or TPU:

>>> @jax.jit
... def step(params):
...     return jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss)(params))
>>> for _ in range(500):
...     params = step(params)
>>> jnp.round(params["w"], 2), jnp.round(params["b"], 2)
(Array([ 2., -0.], dtype=float32), Array(1., dtype=float32))

Everything else here is more of the same: a `dense` layer is many neurons over one input, a network
is layers one after the other, and `jaxnn.training` is this step with an optimizer and a loop.

(McCulloch and Pitts, A logical calculus of the ideas immanent in nervous activity, 1943;
Rosenblatt, The perceptron, 1958; Rumelhart, Hinton and Williams, Learning representations by
back-propagating errors, 1986.)
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn import core

identity = jax.nn.identity


def init_neuron(key: jax.Array, x: Any) -> dict[str, jax.Array]:
    """Params of one neuron: w ~ N(0, 1 / features), b = 0.

    Args:
      key: a random key.
      x: an example input [..., features].

    Returns:
      {"w": [features], "b": []} in x's dtype, float32 for half precision.

    Raises:
      TypeError: if x is not floating point.

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> nn.init_neuron(jax.random.key(0), jnp.ones((4, 3)))["w"].shape
    (3,)
    """
    core.check_features(x, "neuron")
    dtype = core.param_dtype(x)
    w = jax.random.normal(key, x.shape[-1:], dtype) / jnp.sqrt(jnp.asarray(x.shape[-1], dtype))
    return {"w": w, "b": jnp.zeros((), dtype)}


def weighted_sum(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """The pre-activation of a neuron: z = x . w + b.

    Args:
      params: {"w": [features], "b": []}.
      x: floats [..., features].

    Returns:
      z [...], of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if the params have another number of features.

    >>> import jax.numpy as jnp, jaxnn as nn
    >>> params = {"w": jnp.array([1.0, 2.0]), "b": jnp.array(0.5)}
    >>> nn.weighted_sum(params, jnp.array([[1.0, 1.0]])).tolist()
    [3.5]
    """
    core.check_features(x, "neuron")
    w, b = core.unpack_params(params, x, "neuron", "w", "b")
    if w.shape != x.shape[-1:] or b.shape:
        raise ValueError(
            f"neuron takes w [{x.shape[-1]}] and b [] for {core.describe(x)}, got "
            f"w {core.describe(w)} and b {core.describe(b)}: init with this x, or feed what fits."
        )
    return x @ w + b


def neuron(
    params: dict[str, jax.Array], x: jax.Array, activation: Callable = identity
) -> jax.Array:
    """One artificial neuron: y = activation(x . w + b).

    Args:
      params: {"w": [features], "b": []}, as `init_neuron` makes them.
      x: floats [..., features].
      activation: an elementwise function: `identity`, `jax.nn.sigmoid`, `jax.nn.relu`,
        `jax.nn.tanh` or any other of `jax.nn`.

    Returns:
      y [...], of x's dtype.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if the params have another number of features.

    (McCulloch and Pitts, A logical calculus of the ideas immanent in nervous activity, 1943.)

    >>> import jax, jax.numpy as jnp, jaxnn as nn
    >>> params, x = {"w": jnp.array([1.0, 2.0]), "b": jnp.array(-3.0)}, jnp.ones(2)
    >>> nn.neuron(params, x, jax.nn.sigmoid)
    Array(0.5, dtype=float32)
    """
    return activation(weighted_sum(params, x))
