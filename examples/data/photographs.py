"""Photographs without labels."""

import numpy as np

from examples.data.split import need

NAMES = ("astronaut", "coffee", "chelsea", "rocket", "camera", "brick", "grass", "gravel")
LUMA = np.array([0.2125, 0.7154, 0.0721], np.float32)  # ITU-R BT.709, as skimage's rgb2gray


def photographs() -> dict[str, np.ndarray]:
    """Ten photographs by name, three of them of textures: float32 gray [height, width] in [0, 1].

    (Those that the package scikit-image contains, and the two of scikit-learn.)
    """
    source = need("skimage.data")
    images = {name: getattr(source, name)() for name in NAMES}
    samples = need("sklearn.datasets").load_sample_images().images
    images |= dict(zip(("china", "flower"), samples, strict=True))
    return {name: _gray(image) for name, image in images.items()}


def _gray(image: np.ndarray) -> np.ndarray:
    """An image of bytes, gray or in color, as gray in [0, 1]."""
    gray = image @ LUMA if image.ndim == 3 else image
    return (gray / 255).astype(np.float32)
