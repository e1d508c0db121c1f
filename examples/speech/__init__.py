"""A recurrent network recognizes spoken digits, alone and in strings without alignments.

It reads log-mel spectrograms, which are computed on the device, with a convolution that shortens
time and two bidirectional recurrent layers. It learns by connectionist temporal classification
(CTC) from strings of 1 to 6 digits, which every step assembles at random from the training
recordings: each digit has its own speed and loudness, there is silence between the digits, noise is
added, and bands of pitch and spans of time are masked. A single digit is a string of length one, so
the prediction for it is the likeliest string of length one.

The official test recordings, takes 0 to 4, are classified by a network that was trained on the
other takes. In addition, one network for each speaker is trained on the other five speakers only.
A network that runs forward only is evaluated one step at a time, as speech arrives. All settings
were chosen on takes 5 to 9, held out from the training recordings; no choice was made on the test
recordings.
"""

from examples.speech.run import plan, run

__all__ = ["plan", "run"]
