"""The cases in Flax NNX."""
