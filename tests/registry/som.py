"""Entries of the registry: som."""

import jaxnn as nn
from tests.registry.entry import Entry, features

ENTRIES = {
    "som": Entry(lambda: nn.som.self_organizing_map(nn.som.Grid(2, 4), 10), features(8)),
    "som online on a hexagonal torus": Entry(
        lambda: nn.som.self_organizing_map(
            nn.som.Grid(2, 4, True, True), 10, online=True, distance="cosine"
        ),
        features(8),
    ),
}
