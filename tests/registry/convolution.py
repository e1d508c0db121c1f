"""Entries of the registry: convolution."""

import jaxnn as nn
from tests.registry.entry import Entry, features

ENTRIES = {
    "conv": Entry(lambda: nn.conv(8, 3), features(5, 4, 8)),
    "conv of one axis": Entry(lambda: nn.conv(8, 3, padding="CAUSAL", dilation=2), features(6, 8)),
    "conv of three axes": Entry(lambda: nn.conv(8, 2, stride=2), features(4, 3, 4, 8)),
    "conv of one place": Entry(lambda: nn.conv(16, 1, stride=2, bias=False), features(4, 4, 8)),
    "conv with groups": Entry(
        lambda: nn.conv(16, 3, stride=2, padding=1, groups=2), features(5, 4, 8)
    ),
    "depthwise_conv": Entry(lambda: nn.depthwise_conv(3), features(5, 4, 8)),
    "depthwise_conv, two a channel": Entry(
        lambda: nn.depthwise_conv((3, 2), multiplier=2, stride=2), features(5, 4, 8)
    ),
    "conv_transpose": Entry(lambda: nn.conv_transpose(8, 4, stride=2), features(3, 2, 8)),
    "conv_transpose, dilated": Entry(
        lambda: nn.conv_transpose(8, 3, stride=2, dilation=2, padding=1, output_padding=1),
        features(3, 8),
    ),
    "max_pool": Entry(lambda: nn.max_pool(2), features(5, 4, 8)),
    "max_pool with overlap": Entry(lambda: nn.max_pool(3, stride=2, padding=1), features(5, 4, 8)),
    "avg_pool": Entry(lambda: nn.avg_pool(2), features(5, 4, 8)),
    "avg_pool with overlap": Entry(
        lambda: nn.avg_pool(3, stride=2, padding="SAME", count_include_pad=False), features(5, 4, 8)
    ),
    "global_max_pool": Entry(nn.global_max_pool, features(3, 4, 8)),
    "global_avg_pool": Entry(lambda: nn.global_avg_pool(keepdims=True), features(3, 4, 8)),
    "adaptive_max_pool": Entry(lambda: nn.adaptive_max_pool((3, 2)), features(5, 4, 8)),
    "adaptive_avg_pool": Entry(lambda: nn.adaptive_avg_pool((3, 2)), features(5, 4, 8)),
    "upsample": Entry(lambda: nn.upsample(2), features(3, 2, 8)),
    "upsample, linear": Entry(lambda: nn.upsample((3, 2), "linear"), features(3, 2, 8)),
    "pixel_shuffle": Entry(lambda: nn.pixel_shuffle(2), features(3, 2, 8)),
    "flatten": Entry(nn.flatten, features(3, 2, 8)),
}
