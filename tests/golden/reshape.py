"""Cases of PyTorch's upsampling and pixel shuffle, with channels last."""

from torch.nn import functional

from tests.golden.pool import case, last


def upsample(scale, mode: str):
    """x -> PyTorch's interpolation, with pixels as areas."""
    options = {} if mode == "nearest" else {"align_corners": False}
    return last(functional.interpolate, scale_factor=scale, mode=mode, **options)


def cases():
    """The same names as in tests/layers/convolution/test_reshape.py."""
    return {
        "nearest-1d": case(upsample(3, "nearest"), 2, 4, 2),
        "nearest-2d": case(upsample((2, 3), "nearest"), 2, 3, 2, 2),
        "linear-1d": case(upsample(3, "linear"), 2, 4, 2),
        "linear-2d": case(upsample((2, 5), "bilinear"), 2, 3, 4, 2),
        "linear-3d": case(upsample((2, 1, 3), "trilinear"), 1, 2, 3, 2, 2),
        "pixel_shuffle": case(last(functional.pixel_shuffle, 2), 2, 3, 2, 8),
    }
