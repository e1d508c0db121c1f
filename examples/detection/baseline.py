"""Detection without a trained search: regions by a threshold, classified one by one."""

import numpy as np
from skimage import filters, measure, transform
from sklearn.svm import SVC

import jaxnn as nn
from examples import data


def regions(x: np.ndarray, rows: int, most: int) -> nn.detection.Objects:
    """Connected regions above or below Otsu's threshold, each classified as a digit.

    Args:
      x: scenes [scenes, height, width] of bytes.
      rows: how many digits the support vector machine is trained on.
      most: regions in a scene, at most.
    """
    digits = data.digits()
    machine = SVC(random_state=0).fit(digits.x[:rows], digits.y[:rows])
    found = nn.detection.Objects(
        np.zeros((len(x), most, 4)), np.zeros((len(x), most), int), np.zeros((len(x), most))
    )
    for i, scene in enumerate(x):
        for n, ((top, left, bottom, right), shape) in enumerate(candidates(scene)[:most]):
            margins = machine.decision_function(framed(shape).reshape(1, -1))[0]
            found.boxes[i, n] = left, top, right, bottom
            found.labels[i, n], found.mask[i, n] = margins.argmax(), max(margins.max(), 1e-3)
    return found


def candidates(scene: np.ndarray) -> list[tuple[tuple[int, int, int, int], np.ndarray]]:
    """The (box, mask) of each region of a scene that is as large as a digit."""
    threshold = filters.threshold_otsu(scene)
    return [
        (region.bbox, region.image)
        for mask in (scene > threshold, scene < threshold)
        for region in measure.regionprops(measure.label(mask, connectivity=2))
        if 12 <= region.image.shape[0] <= 24 and 3 <= region.image.shape[1] <= 24
    ]


def framed(shape: np.ndarray) -> np.ndarray:
    """The mask of a region as an image of MNIST: 20 pixels long, in the middle of 28 x 28."""
    height, width = (max(round(20 * side / max(shape.shape)), 1) for side in shape.shape)
    top, left = (28 - height) // 2, (28 - width) // 2
    image = np.zeros((28, 28))
    image[top : top + height, left : left + width] = transform.resize(
        shape.astype(float), (height, width), anti_aliasing=True
    )
    return image
