"""Radial basis function networks: hidden units that respond to the distance from their centers.

Each hidden unit has a center c_j in the space of the input, and responds to how near the input is.
A dense layer maps the responses to the output. Unlike the neurons of an MLP, a unit with a Gaussian
kernel acts only near its center. Centers usually come from the data, by `kmeans`, and with fixed
centers and widths the output weights are a linear least-squares problem that `ridge` solves at
once. All of it can then be trained by the gradient like any other net.

    phi_j(x) = kernel(|x - c_j|^2 / w_j^2),    y = phi(x) W + b

Where it is used: for regression and interpolation of smooth functions of a few variables, where it
needs little data and no long training, and as a classifier that can tell that an input lies far
from everything it was trained on, since all of its units are then near zero.

Where it fails: the number of centers needed to fill the space grows exponentially with the number
of features, so that raw images and text are out of reach. Far from the centers a Gaussian network
returns its bias and does not extrapolate. Results depend on the scale of the features:
standardize them first.

The smallest code that trains it, by k-means, `ridge` and then the gradient:

>>> import jax, jaxnn as nn, optax
>>> x = jax.random.uniform(jax.random.key(0), (200, 1), minval=-3, maxval=3)
>>> y = jax.numpy.sin(2 * x)
>>> net, optimizer = nn.rbf.rbf_net(16, 1, width=0.5), optax.adam(1e-3)
>>> train = nn.training.init_train(net, optimizer, jax.random.key(1), x)
>>> hidden = train.params["rbf"] | {"centres": nn.rbf.kmeans(jax.random.key(2), x, 16).centres}
>>> features = nn.rbf.rbf_layer(16, width=0.5)(hidden, x)
>>> params = {"rbf": hidden, "head": nn.rbf.ridge(features, y, 1e-3)}
>>> step = nn.training.step(nn.training.supervised(net, nn.mse), optimizer)
>>> end = nn.training.fit(step, train._replace(params=params), (x, y), steps=200, batch_size=50)
>>> end.history[-1]["loss"] < 1e-3
True

See also: python -m examples rbf

Papers:
  Broomhead and Lowe, Multivariable functional interpolation and adaptive networks, 1988.
  Moody and Darken, Fast learning in networks of locally-tuned processing units, 1989.
  Chen, Cowan and Grant, Orthogonal least squares learning algorithm for radial basis function
  networks, 1991.
"""

from jaxnn.arguments import check_public
from jaxnn.nets.rbf.kernels import (
    gaussian_kernel,
    inverse_multiquadric_kernel,
    multiquadric_kernel,
    thin_plate_kernel,
)
from jaxnn.nets.rbf.kmeans import Clusters, kmeans, rbf_widths, rows_as_centres
from jaxnn.nets.rbf.least_squares import orthogonal_least_squares, ridge
from jaxnn.nets.rbf.net import rbf_layer, rbf_net

__all__ = [
    "Clusters",
    "gaussian_kernel",
    "inverse_multiquadric_kernel",
    "kmeans",
    "multiquadric_kernel",
    "orthogonal_least_squares",
    "rbf_layer",
    "rbf_net",
    "rbf_widths",
    "ridge",
    "rows_as_centres",
    "thin_plate_kernel",
]

check_public(globals(), __all__)
