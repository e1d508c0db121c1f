"""Autoencoders compress digits and faces to 32 numbers, compared with principal components.

The network for digits has one wide layer on each side of the code. It is trained on 4000 digits,
which every step rotates, scales and moves a little; its decoder outputs logits, and its loss is
their cross entropy, which is steeper than the squared error at the start and ends at the same
pixels. There are only 80 faces to train on: for them the encoder and the decoder are linear maps
that start as the principal components of the faces, mirrored and moved by up to two pixels, and a
small convolutional network refines the output image. That network starts at zero, so that training
starts from the components; because it is the same at every pixel, it learns much from few faces.

Both are measured on test images by the mean squared error of a pixel. The components for faces are
those of the faces alone or of the mirrored and moved ones, whichever have the lower error. Widths,
augmentation and number of steps were chosen on held-out parts of the training images: 800 digits,
and 16 faces at a time.
"""

from examples.compression.digits import plan
from examples.compression.run import run

__all__ = ["plan", "run"]
