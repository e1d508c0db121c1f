"""Capsule networks: groups of features whose length or activation tells what an image contains.

A capsule is a vector, or a pose matrix with an activation, in place of a single number. Its length
or activation is the probability that an entity is present, and its direction or matrix describes
the pose. Each capsule votes for the capsules of the next layer, and routing by agreement sends its
output to those whose other votes agree with its own.

    u_ij = x_i w_ij,    c_i = softmax_j(b_i),    y_j = squash(sum_i c_ij u_ij)

The logits b start at zero, and b_ij <- b_ij + u_ij . y_j repeats a few times. `capsnet` is the net
of vector capsules with its `margin_loss`, `matrix_capsnet` that of matrix capsules with routing by
expectation maximization and its `spread_loss`. `capsule_decoder` reconstructs the image from one
capsule.

Where it is used: for the classification of small images where the pose matters or objects overlap,
and to look at what a capsule has learned, by changing one of its numbers and decoding the image.

Where it fails: routing is slow and takes memory in proportion to the product of the numbers of
capsules of two layers, which confines it to small images. On natural images a convolutional network
of the same cost is more accurate, and claims of robustness to new viewpoints hold on small
benchmarks.

The smallest code that trains it, to tell horizontal stripes from vertical ones:

>>> import jax, jaxnn as nn, optax
>>> labels = jax.random.bernoulli(jax.random.key(0), shape=(64,)).astype("int32")
>>> stripes = jax.numpy.tile(jax.numpy.array([0.0, 1.0]), (8, 4))
>>> x = jax.numpy.where(labels[:, None, None] == 1, stripes, stripes.T)[..., None]
>>> x = x + 0.1 * jax.random.normal(jax.random.key(1), x.shape)
>>> capsnet = nn.capsule.capsnet(2, channels=8, kernel_size=3, types=4, primary_kernel=3, width=8)
>>> net, optimizer = nn.serial(capsnet, nn.capsule.capsule_lengths), optax.adam(1e-2)
>>> step = nn.training.step(nn.training.supervised(net, nn.capsule.margin_loss), optimizer)
>>> train = nn.training.init_train(net, optimizer, jax.random.key(2), x)
>>> end = nn.training.fit(step, train, (x, labels), steps=50, batch_size=16, every=10)
>>> end.history[-1]["loss"] < 0.05, bool(nn.accuracy(net(end.train.params, x), labels) == 1)
(True, True)

See also: python -m examples capsule

Papers:
  Sabour, Frosst and Hinton, Dynamic routing between capsules, 2017.
  Hinton, Sabour and Frosst, Matrix capsules with EM routing, 2018.
  Gritzman, Avoiding implementation pitfalls of matrix capsules with EM routing, 2019.
"""

from jaxnn.arguments import check_public
from jaxnn.nets.capsule.decoder import capsule_decoder, mask_capsules
from jaxnn.nets.capsule.em_routing import route_by_em
from jaxnn.nets.capsule.length import capsule_lengths, squash
from jaxnn.nets.capsule.losses import margin_loss, spread_loss
from jaxnn.nets.capsule.matrix import matrix_capsnet, matrix_capsules, primary_matrix_capsules
from jaxnn.nets.capsule.routing import route_by_agreement
from jaxnn.nets.capsule.vector import capsnet, capsules, primary_capsules

__all__ = [
    "capsnet",
    "capsule_decoder",
    "capsule_lengths",
    "capsules",
    "margin_loss",
    "mask_capsules",
    "matrix_capsnet",
    "matrix_capsules",
    "primary_capsules",
    "primary_matrix_capsules",
    "route_by_agreement",
    "route_by_em",
    "spread_loss",
    "squash",
]

check_public(globals(), __all__)
