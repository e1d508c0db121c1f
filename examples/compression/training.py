"""What both autoencoders share: the augmented loss, the optimizer, and the result."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import optax
from sklearn.decomposition import PCA

import jaxnn as nn

DECAY = 1e-2  # of the weights
WARMUP = 100  # steps in which the learning rate rises


class Compressed(NamedTuple):
    """Test images of one kind, after compression to a code.

    images: [rows, pixels], the originals.
    by_components: [rows, pixels], restored from principal components.
    by_network: [rows, pixels], restored by the autoencoder.
    end: the run of the autoencoder.
    """

    images: np.ndarray
    by_components: np.ndarray
    by_network: np.ndarray
    end: nn.training.FitResult

    @property
    def error(self) -> float:
        """The mean squared error of the autoencoder."""
        return float(nn.mse(self.by_network, self.images))

    @property
    def components_error(self) -> float:
        """The mean squared error of the components."""
        return float(nn.mse(self.by_components, self.images))


def augmented(net: nn.Layer, change: Callable, distance: Callable = nn.mse) -> Callable:
    """The loss of reconstruction; in training, of rows changed by change(key, x)."""
    plain = nn.autoencoder.reconstruction(net, distance)

    def loss(params, state, batch, *, key, train):
        if train:
            batch, key = change(jax.random.fold_in(key, 0), batch), jax.random.fold_in(key, 1)
        return plain(params, state, batch, key=key, train=train)

    return loss


def adamw(rate: float, steps: int) -> optax.GradientTransformation:
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, WARMUP, max(steps, 200))
    return optax.adamw(schedule, weight_decay=DECAY)


def restored(components: PCA, x: np.ndarray) -> np.ndarray:
    """Rows after projection on the components."""
    return components.inverse_transform(components.transform(x))
