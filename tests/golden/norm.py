"""Cases of PyTorch's norms, with features last."""

import torch
from torch.nn import functional

from tests.golden.make import draw, record


def exact(x: torch.Tensor) -> torch.Tensor:
    """The nearest numbers that float32 holds, as inputs are kept."""
    return x.float().double()


def first(x: torch.Tensor) -> torch.Tensor:
    """Channels first, as PyTorch has them."""
    return x.movedim(-1, 1)


def batch(train: bool, momentum: float = 0.1, epsilon: float = 1e-5):
    """(x, scale, b, mean, variance) -> y and the running statistics after it."""

    def forward(x, scale, b, mean, variance):
        mean, variance = mean.detach().clone(), variance.detach().clone()
        y = functional.batch_norm(first(x), mean, variance, scale, b, train, momentum, epsilon)
        return y.movedim(1, -1), mean, variance

    return forward


def group(groups: int):
    """(x, scale, b) -> y."""
    return lambda x, scale, b: functional.group_norm(first(x), groups, scale, b).movedim(1, -1)


def instance(x, scale, b):
    """(x, scale, b) -> y."""
    return functional.instance_norm(first(x), weight=scale, bias=b).movedim(1, -1)


def affine(*shape: int) -> dict[str, torch.Tensor]:
    """A scale around 1 and a b."""
    return {"scale": exact(1 + draw(*shape, seed=1) / 4), "b": draw(*shape, seed=2)}


def running(features: int) -> dict[str, torch.Tensor]:
    """Statistics from earlier batches."""
    return {"mean": draw(features, seed=3), "variance": exact(draw(features, seed=4).abs() + 0.5)}


def cases():
    """One for each norm of PyTorch."""
    vectors, images, far = exact(3 * draw(5, 4) + 2), draw(2, 3, 4, 6), exact(draw(3, 2, 6) + 10)
    return {
        "batch_norm-train": record(batch(True), {"x": vectors} | affine(4) | running(4)),
        "batch_norm-images": record(batch(True), {"x": images} | affine(6) | running(6)),
        "batch_norm-momentum": record(
            batch(True, 0.25, 1e-2), {"x": vectors} | affine(4) | running(4)
        ),
        "batch_norm-evaluation": record(batch(False), {"x": images} | affine(6) | running(6)),
        "layer_norm": record(
            lambda x, scale, b: functional.layer_norm(x, (6,), scale, b), {"x": far} | affine(6)
        ),
        "layer_norm-two_axes": record(
            lambda x, scale, b: functional.layer_norm(x, (4, 6), scale, b),
            {"x": images} | affine(4, 6),
        ),
        "rms_norm": record(
            lambda x, scale: functional.rms_norm(x, (6,), scale, 1e-6),
            {"x": images, "scale": affine(6)["scale"]},
        ),
        "group_norm": record(group(3), {"x": images} | affine(6)),
        "group_norm-one": record(group(1), {"x": images} | affine(6)),
        "group_norm-vectors": record(group(2), {"x": draw(5, 6)} | affine(6)),
        "instance_norm": record(instance, {"x": images} | affine(6)),
    }
