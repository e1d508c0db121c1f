"""A one-stage detector finds handwritten digits pasted on photographs, trained from scratch.

At each of 24 x 24 positions, a U-Net behind a stem of stride 4 predicts which digit is centered
there and how far its box extends. There are no anchors, and non-maximum suppression is the only
step after the network. It is trained on 10000 scenes, randomly made brighter, darker or negative on
the device. The test scenes have other digits and other parts of the photographs. The baseline needs
no training of its search: connected regions that stand out by Otsu's threshold, each classified by
a support vector machine that was trained on single digits.
"""

from examples.detection.run import plan, run

__all__ = ["plan", "run"]
