# pyright: reportArgumentType=false, reportOptionalOperand=false, reportOperatorIssue=false
"""Published numbers of chips, and texts that name topologies."""

import math

import pytest

from jaxnn.training.planning.chips import CHIPS, parse


def test_the_chips_that_people_rent_are_there():
    assert {"v4", "v5e", "v5p", "v6e", "tpu7x", "a100", "h100", "h200", "l4", "t4"} <= set(CHIPS)


@pytest.mark.parametrize("name", [name for name in CHIPS if name != "cpu"])
def test_every_chip_has_its_numbers_and_their_source(name):
    chip = CHIPS[name]
    assert chip.source.startswith("https://")
    assert chip.memory > 2**33
    assert chip.bandwidth is not None
    assert chip.link is not None
    assert 10 < chip.peaks["bfloat16"] / chip.bandwidth < 700  # operations a byte
    assert chip.peaks["float32 highest"] <= chip.peaks["float32"] <= chip.peaks["bfloat16"]
    assert chip.network is None or chip.network < chip.link < chip.bandwidth


@pytest.mark.parametrize(
    ("name", "tera", "giga", "links"),
    [
        ("v4", 275, 1200, 300),
        ("v5e", 197, 819, 200),
        ("v6e", 918, 1638, 400),
        ("v5p", 459, 2765, 600),
        ("tpu7x", 2307, 7380, 600),
        ("a100", 312, 2039, 300),
        ("h100", 989.4, 3352, 450),
        ("h200", 989.4, 4800, 450),
        ("l4", 121, 300, 32),
    ],
)
def test_the_devices_of_a_chip_share_what_is_published_of_it(name, tera, giga, links):
    chip = CHIPS[name]
    assert chip.peaks["bfloat16"] * chip.devices == pytest.approx(tera * 1e12)
    assert chip.bandwidth * chip.devices == pytest.approx(giga * 1e9)
    assert chip.link * chip.devices == pytest.approx(links * 1e9)


def test_an_unknown_topology_is_refused_with_the_nearest_and_with_all():
    with pytest.raises(ValueError, match="'h1000:8' is unknown: did you mean 'h100'") as caught:
        parse("h1000:8")
    assert all(name in str(caught.value) for name in CHIPS)
    with pytest.raises(ValueError, match="'' is unknown: use one of v4"):
        parse("")
    with pytest.raises(ValueError, match="'a\\*v5e:2x2' is unknown"):
        parse("a*v5e:2x2")


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("v5e:1x2", "16x16"),
        ("v5e:2x3", "16x16"),
        ("v5e:32x32", "16x16"),
        ("v5e:2x2x1", "16x16"),
        ("v5e:2xx2", "16x16"),
        ("v5e:0x2", "16x16"),
        ("v5p:2x2", "16x20x28"),
        ("v5p:30x2x2", "16x20x28"),
        ("h100:0", "4096"),
        ("h100:9", "4096"),
        ("h100:two", "4096"),
        ("h100:2x2", "4096"),
    ],
)
def test_a_size_that_no_host_or_slice_has_is_refused_with_the_largest(text, most):
    with pytest.raises(ValueError, match=f"at most {most}, not '{text.partition(':')[2]}'"):
        parse(text)


def test_gpus_have_no_slices():
    with pytest.raises(ValueError, match="TPUs alone have slices, write h100:8"):
        parse("2*h100:8")


@pytest.mark.parametrize(
    ("text", "devices"),
    [("v5e", 1), ("v5e:2x4", 8), ("3*v5e:4x4", 48), ("tpu7x:2x2x1", 8), ("h100:16", 16)],
)
def test_devices_are_counted(text, devices):
    assert parse(text).count == devices


def test_devices_of_a_slice_and_gpus_of_a_host_are_neighbors():
    slices, hosts = parse("2*v5e:2x2"), parse("h100:16")
    assert [slices.neighborhood(i) for i in range(8)] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert [hosts.neighborhood(i) for i in (0, 7, 8, 15)] == [0, 0, 1, 1]
    assert math.prod(parse("v5e:16x16").shape) == 256
