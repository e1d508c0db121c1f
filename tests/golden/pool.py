"""Cases of PyTorch's pools, with channels last; maxima with and without ties."""

from torch.nn import functional

from tests.golden.make import draw, record


def last(function, *arguments, **options):
    """x -> PyTorch's function of x with channels first."""
    return lambda x: function(x.movedim(-1, 1), *arguments, **options).movedim(1, -1)


def case(function, *shape: int, ties: bool = False):
    """One case of this shape; with ties, of few values."""
    x = draw(*shape)
    return record(function, {"x": x.round().clamp(0, 1) if ties else x})


def cases():
    """The same names as in tests/layers/convolution/test_pool.py."""
    f = functional
    return {
        "max-1d": case(last(f.max_pool1d, 3), 2, 9, 2),
        "max-2d": case(last(f.max_pool2d, 2), 2, 6, 5, 2),
        "max-2d-ties": case(last(f.max_pool2d, 2), 2, 6, 6, 2, ties=True),
        "max-2d-tiles-padded": case(last(f.max_pool2d, 3, padding=1), 2, 7, 5, 2, ties=True),
        "max-2d-overlap": case(last(f.max_pool2d, 3, 2, padding=1), 2, 7, 6, 2),
        "max-2d-overlap-ties": case(last(f.max_pool2d, (3, 2), 1), 2, 6, 5, 2, ties=True),
        "max-2d-gaps": case(last(f.max_pool2d, 2, 3), 2, 8, 5, 2),
        "max-1d-long": case(last(f.max_pool1d, 11, 2, padding=3), 2, 15, 2, ties=True),
        "max-3d": case(last(f.max_pool3d, 2, (1, 2, 2)), 1, 4, 4, 4, 2),
        "avg-1d": case(last(f.avg_pool1d, 4), 2, 9, 2),
        "avg-2d": case(last(f.avg_pool2d, 2), 2, 6, 5, 2),
        "avg-2d-overlap": case(last(f.avg_pool2d, 3, 2, padding=1), 2, 7, 6, 2),
        "avg-2d-exclusive": case(
            last(f.avg_pool2d, 3, 2, padding=1, count_include_pad=False), 2, 7, 6, 2
        ),
        "avg-3d": case(last(f.avg_pool3d, 2, 1), 1, 4, 3, 3, 2),
        "global-max": case(
            lambda x: x.movedim(-1, 1).flatten(2).max(2).values, 2, 5, 3, 2, ties=True
        ),
        "global-avg": case(lambda x: x.mean((1, 2)), 2, 5, 3, 2),
        "adaptive-max": case(last(f.adaptive_max_pool2d, (3, 2)), 2, 7, 6, 2),
        "adaptive-max-ties": case(last(f.adaptive_max_pool2d, (5, 4)), 2, 7, 3, 2, ties=True),
        "adaptive-avg": case(last(f.adaptive_avg_pool2d, (3, 2)), 2, 7, 6, 2),
        "adaptive-avg-3d": case(last(f.adaptive_avg_pool3d, (2, 3, 1)), 1, 3, 4, 3, 2),
        "adaptive-avg-larger": case(last(f.adaptive_avg_pool1d, 7), 2, 3, 2),
    }
