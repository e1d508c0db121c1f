"""Spiking nets of plain parts, which is what goes to NIR and comes from it."""

from collections.abc import Callable
from typing import Any

from jaxnn.core import Net
from jaxnn.flow import serial
from jaxnn.interop import nir
from jaxnn.layers.convolution.conv import conv
from jaxnn.layers.convolution.pool import avg_pool
from jaxnn.layers.dense import dense
from jaxnn.nets.spiking.membrane import leaky_integrator
from jaxnn.nets.spiking.nets import flat_steps, time_distributed
from jaxnn.nets.spiking.neurons import SPIKE, lif, synaptic_lif
from jaxnn.printing import factory


@factory
def spiking_chain(*parts: Any, spike: Callable = SPIKE) -> Net:
    """Layers and neurons in a row, of parts of `jaxnn.interop.nir`; params are as of `serial`.

    Args:
      *parts: such as `Affine(256)` and `Lif(0.9)`.
      spike: the step of all neurons and its surrogate gradient.

    Raises:
      TypeError: for what is no part.
      ValueError: for no parts, or for what a layer refuses.

    >>> import jax, jaxnn as nn
    >>> from jaxnn.interop.nir import Affine, Lif
    >>> parts, x = (Affine(8), Lif(0.9), Affine(2), Lif(0.8)), jax.numpy.ones((4, 6, 3))
    >>> net = nn.unroll(nn.spiking.spiking_chain(*parts))
    >>> params, _ = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> jax.eval_shape(net, params, x).shape
    (4, 6, 2)
    """
    return serial(*(_layer(part, spike) for part in parts))


def _layer(part: Any, spike: Callable) -> Any:
    match part:
        case nir.Affine(width, bias):
            return dense(width, bias=bias)
        case nir.Conv(width, kernel_size, stride, padding):
            return time_distributed(conv(width, kernel_size, stride=stride, padding=padding))
        case nir.AvgPool(size):
            return time_distributed(avg_pool(size, padding="VALID"))
        case nir.Flatten():
            return flat_steps
        case nir.Lif(decay, threshold, learn):
            return lif(decay, threshold, reset="zero", learn=learn, spike=spike)
        case nir.CubaLif(decay, threshold, fades, learn):
            made = {"synaptic_decay": fades, "reset": "zero", "learn": learn, "spike": spike}
            return synaptic_lif(decay, threshold, **made)
        case nir.Leaky(decay, learn):
            return leaky_integrator(decay, learn=learn)
    raise TypeError(f"spiking_chain takes parts of jaxnn.interop.nir, got {part!r}.")
