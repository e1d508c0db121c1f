# pyright: reportArgumentType=false, reportOptionalOperand=false, reportOperatorIssue=false
"""The time that a step takes at least."""

import pytest

from jaxnn.training.planning.chips import CHIPS
from jaxnn.training.planning.roofline import roofline
from jaxnn.training.planning.traffic import Collective

V5E = CHIPS["v5e"]


def sent(size, crosses=False):
    return (Collective("all-reduce", 1, size, size, crosses, False),)


@pytest.mark.parametrize(
    ("macs", "moved", "traffic", "bound"),
    [
        ({"bfloat16": 1e15}, 1e9, sent(10**9), "compute"),
        ({"bfloat16": 1e9}, 1e12, sent(10**9), "memory"),
        ({"bfloat16": 1e9}, 1e9, sent(10**12), "network"),
        ({"bfloat16": 1e12}, 1e9, sent(10**9, crosses=True), "network"),
    ],
)
def test_the_largest_time_bounds_the_step(macs, moved, traffic, bound):
    line, unknown = roofline(V5E, macs, moved, traffic)
    assert line.bound == bound
    assert line.seconds == max(line[:3])
    assert unknown == ()


def test_each_dtype_has_its_peak():
    exact, _ = roofline(V5E, {"float32 highest": 1e12}, 0, ())
    fast, _ = roofline(V5E, {"float32": 1e12}, 0, ())
    assert exact.compute == pytest.approx(6 * fast.compute)


def test_a_dtype_without_a_peak_is_said_to_be_left_out():
    line, unknown = roofline(V5E, {"float64": 1e12}, 1, ())
    assert line.compute == 0
    assert "the peak of float64 on this chip" in unknown[0]


def test_a_network_without_a_number_is_said_to_be_unknown():
    _, unknown = roofline(CHIPS["l4"], {}, 1, sent(10, crosses=True))
    assert "no number is published" in unknown[0]


def test_this_machine_has_no_roofline():
    line, unknown = roofline(CHIPS["cpu"], {"float32": 1e9}, 1e9, sent(8))
    assert line == (None, None, None, "unknown")
    assert line.seconds is None
    assert unknown == ()
