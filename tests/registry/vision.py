"""Entries of the registry: vision."""

import jaxnn as nn
from tests.registry.entry import KINK, PLACES, Entry, features

ENTRIES = {
    "lenet": Entry(lambda: nn.lenet(8, widths=(8, 8, 16, 8)), features(12, 12, 1)),
    "resnet": Entry(
        lambda: nn.resnet(8, (1,), width=8, bottleneck=True, small=True), features(4, 4, 8)
    ),
    "convnext": Entry(
        lambda: nn.convnext(
            8, depths=(1,), widths=(8,), patch=2, kernel_size=3, drop_rate=0.3, scale=0.1
        ),
        features(4, 4, 8),
    ),
    "unet": Entry(lambda: nn.unet(8, widths=(8, 8)), features(4, 4, 8)),
    "detector": Entry(
        lambda: nn.detection.detector(8, nn.conv(8, 2, stride=2), width=8),
        features(4, 4, 8),
        PLACES,
    ),
    "video_resnet": Entry(
        lambda: nn.video_resnet(8, (1,), width=8, factored=True, small=True),
        features(2, 3, 3, 8),
        KINK,
    ),
}
