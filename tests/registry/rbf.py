"""Entries of the registry: rbf."""

import jaxnn as nn
from tests.registry.entry import Entry, features

ENTRIES = {
    "rbf normalised": Entry(
        lambda: nn.rbf.rbf_layer(8, metric="centre", normalised=True), features(8)
    ),
    "rbf of a full metric": Entry(
        lambda: nn.rbf.rbf_layer(8, kernel=nn.rbf.multiquadric_kernel, metric="full"), features(8)
    ),
    "rbf_net": Entry(lambda: nn.rbf.rbf_net(16, 8, width=2.0), features(8)),
}
