"""Detection of objects in images."""

from jaxnn.arguments import check_public
from jaxnn.nets.detection.boxes import (
    Objects,
    generalized_iou,
    mean_average_precision,
    non_maximum_suppression,
    pack_objects,
    pairwise_iou,
)
from jaxnn.nets.detection.detector import Prediction, detect, detection_loss, detector, focal_loss

__all__ = [
    "Objects",
    "Prediction",
    "detect",
    "detection_loss",
    "detector",
    "focal_loss",
    "generalized_iou",
    "mean_average_precision",
    "non_maximum_suppression",
    "pack_objects",
    "pairwise_iou",
]

check_public(globals(), __all__)
