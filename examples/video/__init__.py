"""Networks predict the next frame of a clip, and the direction in which a digit moves.

The next frame: a small network looks at the last frames of a clip and gives each pixel a kernel
over them, whose sum is added to the last frame. The clip shows towers at night, with a camera that
pans by a tenth of a pixel a frame. The network can predict how each part of the image continues to
move, and can smooth what it cannot predict. Its loss is the logarithm of the squared error of each
crop, which is what a mean of decibels measures. It is trained on the first four fifths of the shot,
and all choices were made on the last twenty frames of these. It is compared with one kernel for
all pixels, fitted by least squares, and with the last frame, as it is and moved by the shift
between the last two frames.

The direction of a digit: a residual network of 3-d convolutions classifies in which of eight
directions a handwritten digit moves through noise. Every step renders new clips on the device, and
the test clips show other digits. The baseline follows the mean position of the light in a clip.
"""

from examples.video.frames import plan
from examples.video.run import run

__all__ = ["plan", "run"]
