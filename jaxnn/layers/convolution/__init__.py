"""Convolution, pooling, and changes of shape.

- conv: `conv`, `depthwise_conv` and `conv_transpose` over one, two or three spatial axes.
- convolve: the convolution of arrays, in the fastest form for each platform.
- pool: maximum and mean over windows, over all of space, or over a fixed number of windows.
- reductions: the maximum and mean over windows of arrays, in the forms that pools use.
- reshape: `upsample`, `pixel_shuffle` and `flatten`.
- window: sizes, strides, dilation and padding of sliding windows.
"""
