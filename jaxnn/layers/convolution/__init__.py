"""Convolution, pooling, and changes of shape."""
