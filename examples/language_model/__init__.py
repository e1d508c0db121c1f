"""A transformer learns to write like Shakespeare, one character at a time.

The standard run is nanoGPT's for a CPU: 4 blocks with 4 heads, 128 wide, 64 characters of context,
a batch of 12 and 2000 steps, for which nanoGPT reports 1.88 nats per character on the last tenth of
the text. Here all of that tenth is evaluated, in windows of 64 characters, so that the first
character of each has no context. The baseline is the compression of the last tenth by lzma, after
it has read the other nine tenths.

If PyTorch is installed, the same net is trained there with the same loop from the same params, in
turns with the one in JAX, and both are timed. `--large` trains a larger net for longer and on
longer windows; it resumes where it was stopped. Learning rates were chosen on the last ninth of the
training text.
"""

from examples.language_model.run import flags, plan, run

__all__ = ["flags", "plan", "run"]
