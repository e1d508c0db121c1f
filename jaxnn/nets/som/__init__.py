"""Self-organizing maps: a grid of units that learns the shape of the data without labels.

Each unit of the grid has a weight vector in the space of the data. A row of data belongs to the
unit whose weights are nearest to it, its best-matching unit. That unit moves toward the row, and
its neighbors on the grid move with it, so that nearby units come to represent similar data. There
is no gradient: the map is the layer's state, and `train_som` updates it.

    w_j <- w_j + rate h(d(j, b)) (x - w_j)

Here b is the best-matching unit of x, d the distance on the grid, and h the neighborhood function,
whose radius shrinks during training.

Where it is used: to look at high-dimensional data in two dimensions (`u_matrix`,
`component_planes`), for clustering, vector quantization and anomaly detection, and for data with
missing values, which are written as NaN.

Where it fails: the grid and its size are chosen by hand, and data that do not lie near a surface
fold the map, which `topographic_error` shows. A classifier or a regression trained with labels is
nearly always more accurate, and UMAP or t-SNE often separate clusters more clearly.

The smallest code that trains a map, here of a unit square:

>>> import jax, jaxnn as nn
>>> x = jax.random.uniform(jax.random.key(0), (500, 2))
>>> grid = nn.som.Grid(6, 6)
>>> net = nn.som.self_organizing_map(grid, steps=50)
>>> params, state = net.init(jax.random.key(1), x)
>>> state = state | {"weights": nn.som.map_of_pca(x, grid)}
>>> state = nn.som.train_som(net, state, x, 50)
>>> mapped, _ = net.apply(params, state, x)
>>> mapped.index.shape, bool(mapped.distance.mean() < 0.1)
((500,), True)

See also: python -m examples som

Papers:
  Kohonen, Self-organized formation of topologically correct feature maps, 1982.
  Kohonen, Essentials of the self-organizing map, 2013.
  Ultsch and Siemon, Kohonen's self organizing feature maps for exploratory data analysis, 1990.
  Kiviluoto, Topology preservation in self-organizing maps, 1996.
"""

from jaxnn.arguments import check_public
from jaxnn.nets.som.batch import Sums, som_sums, som_update
from jaxnn.nets.som.decays import (
    asymptotic_decay,
    constant_decay,
    exponential_decay,
    inverse_decay,
    linear_decay,
)
from jaxnn.nets.som.grid import Grid, adjacent_units, grid_distances, unit_positions
from jaxnn.nets.som.initial import map_of_pca, map_of_rows
from jaxnn.nets.som.map import self_organizing_map, train_som
from jaxnn.nets.som.matching import Mapped, best_matching_units, unit_distances
from jaxnn.nets.som.measures import (
    component_planes,
    hit_map,
    quantization_error,
    topographic_error,
    u_matrix,
    unit_labels,
)
from jaxnn.nets.som.neighbourhoods import (
    bubble_neighbourhood,
    gaussian_neighbourhood,
    mexican_hat_neighbourhood,
    triangle_neighbourhood,
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
