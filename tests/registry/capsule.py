"""Entries of the registry: capsule."""

import jax

import jaxnn as nn
from tests.registry.entry import SPACE, Entry, features

ENTRIES = {
    "capsules": Entry(lambda: nn.capsule.capsules(4, 8), features(6, 8), SPACE),
    "capsnet": Entry(
        lambda: nn.capsule.capsnet(
            4, channels=8, kernel_size=3, types=2, dimension=4, primary_kernel=3, width=8
        ),
        features(6, 6, 1),
        SPACE,
    ),
    "capsule_decoder": Entry(lambda: nn.capsule.capsule_decoder((4, 2, 1), (16,)), features(4, 8)),
    # Small votes spread little, so that the routing does not magnify their rounding.
    "matrix_capsules": Entry(
        lambda: nn.serial(
            nn.capsule.primary_matrix_capsules(2),
            nn.capsule.matrix_capsules(2, 2, iterations=2, w_init=jax.nn.initializers.normal(0.03)),
        ),
        features(2, 3, 8),
    ),
}
