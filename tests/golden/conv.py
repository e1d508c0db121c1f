"""Cases of PyTorch's convolutions, with channels and width last."""

import torch
from torch.nn import functional

from tests.golden.make import draw, record

CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSE = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


def conv(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None, **options):
    """PyTorch's convolution of x [batch, *space, channels] by w [*size, channels, width]."""
    n = x.ndim - 2
    w = w.permute(n + 1, n, *range(n)).contiguous()  # else some gradients are refused
    return CONV[n](x.movedim(-1, 1), w, b, **options).movedim(1, -1)


def conv_transpose(
    x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None, groups: int = 1, **options
):
    """PyTorch's transposed convolution, with x and w as above."""
    n = x.ndim - 2
    w = w.unflatten(-1, (groups, -1)).permute(n + 1, n, n + 2, *range(n)).flatten(0, 1).contiguous()
    return TRANSPOSE[n](x.movedim(-1, 1), w, b, groups=groups, **options).movedim(1, -1)


def case(function, x: tuple[int, ...], w: tuple[int, ...], bias: bool = True, **options):
    """One case of these shapes."""
    inputs = {"x": draw(*x, seed=1), "w": draw(*w, seed=2)}
    inputs |= {"b": draw(w[-1], seed=3)} if bias else {}
    return record(lambda **tensors: function(**tensors, **options), inputs)


def cases():
    """The same names as in tests/layers/convolution/test_conv.py."""
    return {
        "conv-1d": case(conv, (2, 9, 2), (4, 2, 3), stride=2),
        "conv-1d-dilated": case(conv, (2, 9, 3), (3, 3, 4), dilation=2, padding=2),
        "conv-2d": case(conv, (2, 5, 4, 2), (3, 3, 2, 3), padding=1),
        "conv-2d-strided": case(conv, (1, 6, 5, 3), (3, 2, 3, 2), False, stride=2, padding=(1, 0)),
        "conv-2d-point": case(conv, (2, 4, 5, 3), (1, 1, 3, 4), stride=(2, 1)),
        "conv-2d-groups": case(conv, (1, 4, 5, 6), (3, 3, 2, 6), groups=3, padding=1),
        "conv-2d-11-groups": case(conv, (1, 4, 3, 22), (2, 2, 2, 11), groups=11),
        "conv-2d-depthwise": case(
            conv, (2, 6, 5, 3), (3, 3, 1, 6), groups=3, stride=2, dilation=(1, 2), padding=2
        ),
        "conv-3d": case(
            conv, (2, 5, 4, 3, 2), (3, 2, 1, 2, 3), stride=(2, 1, 1), padding=(1, 1, 0)
        ),
        "conv-3d-groups": case(
            conv, (1, 4, 4, 3, 4), (2, 2, 2, 2, 4), groups=2, dilation=(2, 1, 1)
        ),
        "conv_transpose-1d": case(conv_transpose, (2, 5, 3), (4, 3, 2), stride=3, padding=1),
        "conv_transpose-2d": case(
            conv_transpose, (2, 4, 3, 3), (3, 3, 3, 2), stride=2, padding=1, output_padding=(1, 0)
        ),
        "conv_transpose-2d-tiles": case(conv_transpose, (2, 3, 3, 4), (2, 2, 4, 2), stride=2),
        "conv_transpose-2d-gaps": case(conv_transpose, (2, 3, 3, 2), (2, 1, 2, 2), stride=3),
        "conv_transpose-2d-dilated": case(
            conv_transpose, (1, 3, 3, 3), (2, 2, 3, 2), False, stride=2, dilation=(3, 1)
        ),
        "conv_transpose-2d-groups": case(
            conv_transpose, (1, 4, 3, 6), (3, 3, 2, 3), groups=3, stride=2, padding=(1, 2)
        ),
        "conv_transpose-3d": case(
            conv_transpose, (1, 3, 2, 3, 2), (3, 2, 2, 2, 2), stride=(2, 2, 1)
        ),
    }
