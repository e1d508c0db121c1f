"""Photographs, for what is cut out of them."""

import numpy as np

from examples.data.split import need

NAMES = ("astronaut", "coffee", "chelsea", "rocket", "camera", "brick", "grass", "gravel")
LUMA = np.array([0.2125, 0.7154, 0.0721], np.float32)  # ITU-R BT.709, as skimage's rgb2gray


def photographs() -> dict[str, np.ndarray]:
    """Ten photographs by name, three of them of textures: float32 grey [height, width] in [0, 1].

    (Those that scikit-image's package holds itself, and the two of scikit-learn.)
    """
    source = need("skimage.data")
    pictures = {name: getattr(source, name)() for name in NAMES}
    samples = need("sklearn.datasets").load_sample_images().images
    pictures |= dict(zip(("china", "flower"), samples, strict=True))
    return {name: _grey(picture) for name, picture in pictures.items()}


def _grey(picture: np.ndarray) -> np.ndarray:
    """A picture of bytes, grey or in colours, as grey in [0, 1]."""
    grey = picture @ LUMA if picture.ndim == 3 else picture
    return (grey / 255).astype(np.float32)
