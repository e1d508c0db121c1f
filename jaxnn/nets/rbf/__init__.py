"""Radial basis function networks."""

from jaxnn.arguments import check_public
from jaxnn.nets.rbf.kmeans import (
    Clusters,
    kmeans,
    orthogonal_least_squares,
    rbf_widths,
    rows_as_centres,
)
from jaxnn.nets.rbf.net import (
    gaussian_kernel,
    inverse_multiquadric_kernel,
    multiquadric_kernel,
    rbf_layer,
    rbf_net,
    ridge,
    thin_plate_kernel,
)

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
