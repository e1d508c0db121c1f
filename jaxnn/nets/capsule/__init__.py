"""Capsule networks."""

from jaxnn.arguments import check_public
from jaxnn.nets.capsule.decoder import capsule_decoder, mask_capsules
from jaxnn.nets.capsule.matrix import (
    matrix_capsnet,
    matrix_capsules,
    primary_matrix_capsules,
    route_by_em,
    spread_loss,
)
from jaxnn.nets.capsule.vector import (
    capsnet,
    capsule_lengths,
    capsules,
    margin_loss,
    primary_capsules,
    route_by_agreement,
    squash,
)

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
