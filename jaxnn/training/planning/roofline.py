"""How long a step takes at least, by the published numbers of a chip."""

from collections.abc import Mapping
from typing import NamedTuple

from jaxnn.training.planning.chips import Chip
from jaxnn.training.planning.traffic import Collective


class Roofline(NamedTuple):
    """Seconds that a step takes at least, if the three overlap; None where nothing is published.

    compute: at the peak rate of multiply-adds. memory: at the bandwidth of the memory. network: at
    the bandwidth of links, and of the network between slices or hosts. bound: the largest of them.
    """

    compute: float | None
    memory: float | None
    network: float | None
    bound: str

    @property
    def seconds(self) -> float | None:
        """The time of what bounds the step."""
        return getattr(self, self.bound) if self.bound != "unknown" else None


def roofline(
    chip: Chip, macs: Mapping[str, float], moved: float, sent: tuple[Collective, ...]
) -> tuple[Roofline, tuple[str, ...]]:
    """The roofline of one device, and what it could not take into account.

    Args:
      chip: the numbers of the device.
      macs: the multiply-adds of one device by dtype.
      moved: bytes that it reads and writes.
      sent: what it sends.

    >>> from jaxnn.training.planning.chips import CHIPS
    >>> line, _ = roofline(CHIPS["v5e"], {"bfloat16": 197e12 / 2}, 819e6, ())
    >>> line.compute, round(line.memory, 6), line.network, line.bound
    (1.0, 0.001, 0.0, 'compute')
    """
    unknown = [
        f"the peak of {dtype} on this chip, whose multiply-adds are left out of the roofline"
        for dtype in macs
        if dtype not in chip.peaks and chip.peaks
    ]
    compute = sum(2 * n / chip.peaks[dtype] for dtype, n in macs.items() if dtype in chip.peaks)
    times: dict[str, float | None] = {"compute": compute if chip.peaks else None}
    times["memory"] = moved / chip.bandwidth if chip.bandwidth else None
    near = sum(each.sent for each in sent if not each.crosses)
    far = sum(each.sent for each in sent if each.crosses)
    network = near / chip.link if chip.link else (None if near else 0.0)
    if far and network is not None:
        if chip.network is None:
            unknown.append("the network between slices or hosts, of which no number is published")
        else:
            network += far / chip.network
    times["network"] = network
    known = {name: value for name, value in times.items() if value is not None}
    bound = max(known, key=lambda name: known[name]) if chip.peaks else "unknown"
    return Roofline(**times, bound=bound), tuple(unknown)
