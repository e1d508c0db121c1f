"""Self-organizing maps."""

from jaxnn.arguments import check_public
from jaxnn.nets.som.grid import (
    Grid,
    adjacent_units,
    asymptotic_decay,
    bubble_neighbourhood,
    constant_decay,
    exponential_decay,
    gaussian_neighbourhood,
    grid_distances,
    inverse_decay,
    linear_decay,
    mexican_hat_neighbourhood,
    triangle_neighbourhood,
    unit_positions,
)
from jaxnn.nets.som.map import (
    Sums,
    map_of_pca,
    map_of_rows,
    self_organizing_map,
    som_sums,
    som_update,
    train_som,
)
from jaxnn.nets.som.matching import Mapped, best_matching_units, unit_distances
from jaxnn.nets.som.measures import (
    component_planes,
    hit_map,
    quantization_error,
    topographic_error,
    u_matrix,
    unit_labels,
)

__all__ = [
    "Grid",
    "Mapped",
    "Sums",
    "adjacent_units",
    "asymptotic_decay",
    "best_matching_units",
    "bubble_neighbourhood",
    "component_planes",
    "constant_decay",
    "exponential_decay",
    "gaussian_neighbourhood",
    "grid_distances",
    "hit_map",
    "inverse_decay",
    "linear_decay",
    "map_of_pca",
    "map_of_rows",
    "mexican_hat_neighbourhood",
    "quantization_error",
    "self_organizing_map",
    "som_sums",
    "som_update",
    "topographic_error",
    "train_som",
    "triangle_neighbourhood",
    "u_matrix",
    "unit_distances",
    "unit_labels",
    "unit_positions",
]

check_public(globals(), __all__)
