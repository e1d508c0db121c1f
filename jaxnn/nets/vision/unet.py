"""U-Net, a network from images to images of the same size."""

from collections.abc import Callable, Sequence

import jax

from jaxnn import core
from jaxnn.core import Layer
from jaxnn.flow import concatenate, serial, wire
from jaxnn.layers.convolution.conv import conv, conv_transpose
from jaxnn.layers.convolution.pool import max_pool
from jaxnn.layers.norm import batch_norm
from jaxnn.nets.vision.resnet import HE
from jaxnn.printing import factory


@factory
def unet(
    width: int,
    *,
    widths: Sequence[int] = (32, 64, 128, 256),
    activation: Callable = jax.nn.relu,
    norm: Callable[[], Layer] = batch_norm,
) -> Layer:
    """A net that downsamples to a coarse map and upsamples again, with a skip at every size.

    level i: y = convs(concatenate(h, up(level i + 1(pool(h))))), with h = convs(x)

    convs is (conv3, norm, activation) twice, pool a max pool of 2 x 2, and up a transposed
    convolution of 2 x 2 and stride 2. The lowest level is convs alone.

    Args:
      width: the number of channels of the output, which a last convolution of 1 x 1 makes.
      widths: the number of channels of each level, from the finest to the coarsest.
      activation: a function of arrays.
      norm: a function that makes the norm of each convolution; `lambda: nn.group_norm(8)` has no
        state.

    Returns:
      A layer from x [batch, height, width, channels] to y of the same shape and dtype, but with
      `width` channels.

    Raises:
      TypeError: if x is not floating point.
      ValueError: if widths is empty, or a side of the images is not a multiple of 2^(levels - 1).

    (Ronneberger, Fischer and Brox, U-Net: Convolutional networks for biomedical image segmentation,
    2015, but with padding, so that the output is as large as the input.)

    >>> import jax, jaxnn as nn
    >>> net, x = nn.unet(1, widths=(8, 16)), jax.numpy.ones((8, 12, 12, 3))
    >>> params, state = jax.eval_shape(net.init, jax.random.key(0), x)
    >>> y, state = jax.eval_shape(net.apply, params, state, x)
    >>> y.shape
    (8, 12, 12, 1)
    """
    if not widths:
        raise ValueError("unet takes the channels of each level, (32, 64, 128); got none.")
    multiple = 2 ** (len(widths) - 1)

    def check_sides(x):
        if core.check_features(x, "unet").ndim != 4 or any(n % multiple for n in x.shape[1:3]):
            raise ValueError(
                f"unet of {len(widths)} levels takes [batch, height, width, channels] with sides "
                f"that are multiples of {multiple}, got {core.describe(x)}: pad it, or use fewer "
                "levels."
            )
        return x

    def convs(channels):
        layers = []
        for _ in range(2):
            layers += [conv(channels, 3, bias=False, w_init=HE), norm(), activation]
        return serial(*layers)

    def level(i):
        if i == len(widths) - 1:
            return convs(widths[i])
        below = serial(max_pool(2), level(i + 1), conv_transpose(widths[i], 2, stride=2))

        def flow(f, x):
            h = f.down(x)
            return f.up(concatenate((h, f.below(h))))

        return wire(flow, down=convs(widths[i]), below=below, up=convs(widths[i]))

    return serial(check_sides, level(0), conv(width, 1))
