"""What a compiled program sends between devices, read off its text."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|ragged-all-to-all"
BITS = {"pred": 8, "s4": 4, "u4": 4, "s8": 8, "u8": 8, "s16": 16, "u16": 16, "bf16": 16}
BITS |= {"f16": 16, "s32": 32, "u32": 32, "f32": 32, "s64": 64, "u64": 64, "f64": 64, "c64": 64}


class Collective(NamedTuple):
    """The collectives of one kind, in one step.

    times: how often they run, each iteration of a loop counted. bytes: of their whole arrays.
    sent: what each device sends, in a ring. crosses: whether they join slices, or hosts of GPUs.
    inside: whether they stand in a loop.
    """

    kind: str
    times: int
    bytes: int
    sent: int
    crosses: bool
    inside: bool


def collectives(program: str) -> dict[str, int]:
    r"""How often each kind of collective stands in the text of a compiled program.

    >>> collectives("ENTRY %main {\n  %sum = f32[8]{0} all-reduce-start(%x)\n}")
    {'all-reduce': 1}
    """
    counts: Counter[str] = Counter()
    for computation in _computations(program).values():
        counts.update(kind for kind, _, _, _ in _found(computation))
    return dict(sorted(counts.items()))


def traffic(
    program: str, devices: int, place: Callable[[int], int] = lambda position: 0
) -> tuple[tuple[Collective, ...], int]:
    """The collectives of a compiled program, with the iterations of the loops around them.

    Args:
      program: its text.
      devices: the number of devices.
      place: the slice or host of a device, by its position in the mesh.

    Returns:
      A `Collective` for each kind, place and way; and the number of loops with collectives of which
      the text does not tell the length, which count once.
    """
    parts = _computations(program)
    runs, unknown = _runs(parts)
    sums: dict[tuple, list[int]] = {}
    lost = 0
    for name, computation in parts.items():
        for kind, whole, groups, outside in _found(computation):
            times, inside = runs.get(name, (1, False))
            lost += name in unknown
            members = groups or [list(range(devices))]
            n = max(map(len, members))
            crosses = outside or any(len({place(each) for each in one}) > 1 for one in members)
            share = {"all-reduce": 2 * (n - 1) / max(n, 1), "collective-permute": 1}
            sent = whole * share.get(kind, (n - 1) / max(n, 1))
            entry = sums.setdefault((kind, crosses, inside), [0, 0, 0])
            for i, value in enumerate((times, times * whole, times * math.ceil(sent))):
                entry[i] += value
    found = tuple(
        Collective(kind, times, whole, sent, crosses, inside)
        for (kind, crosses, inside), (times, whole, sent) in sorted(sums.items())
    )
    return found, lost


def _computations(program: str) -> dict[str, str]:
    parts = re.split(r"^(?=\S)", program, flags=re.MULTILINE)
    named = {}
    for part in parts:
        if found := re.match(r"(?:ENTRY )?%?([\w.\-]+) [^\n]*\{\n", part):
            named[found[1]] = part
    return named


def _found(computation: str) -> Iterable[tuple[str, int, list[list[int]], bool]]:
    """(kind, bytes of the whole array, groups of devices, whether between slices of a TPU)."""
    # A TPU hides one collective behind a chain of fusions, of which the first counts.
    head = re.match(r"(?:ENTRY )?%?async_collective_fusion", computation)
    if head or "CollectiveDone" in computation:
        return
    # Its reduce-scatter is a fusion around an all-reduce that is then cut up.
    scatter = re.match(r"%?all-reduce-scatter", computation)
    for line in computation.splitlines()[1:]:
        found = re.match(rf"^ .*? = (.*?) ({KINDS})(-start)?\(", line)
        if found:
            result, kind, start = found[1], found[2], found[3]
            groups = _groups(line)
            n = max(map(len, groups), default=1)
            size = _bytes(result)
            if start and kind == "all-gather":  # its operand stands beside its result
                size = size * n // (n + 1)
            elif start and kind == "collective-permute":
                size //= 2
            elif kind == "reduce-scatter":
                size *= n
            yield ("reduce-scatter" if scatter else kind), size, groups, False
            continue
        # Between slices the host sends, and names what it does.
        name = re.search(rf'rendezvous="({KINDS})', line)
        if name and re.match(r"^ .*? = .*? recv\(", line):
            yield name[1], _bytes(line.partition(" recv(")[0].partition(" = ")[2]), [], True


def _bytes(result: str) -> int:
    total = 0
    for dtype, sides in re.findall(r"\b([a-z]+\d*\w*)\[([\d,]*)\]", result):
        if dtype == "u32" and not sides:  # a mark of the device's own
            continue
        bits = BITS.get(dtype, 8 if dtype.startswith("f8") else 0)
        total += bits * math.prod(int(side) for side in sides.split(",") if side) // 8
    return total


def _groups(line: str) -> list[list[int]]:
    """The positions of the devices of each group of a collective; [] for all of them."""
    if found := re.search(r"replica_groups=\{(\{.*?\})\}", line):
        return [[int(i) for i in one.split(",")] for one in re.findall(r"\{([\d,]+)\}", found[1])]
    if found := re.search(r"source_target_pairs=\{(\{.*?\})\}", line):
        return [[int(i) for i in one.split(",")] for one in re.findall(r"\{([\d,]+)\}", found[1])]
    if found := re.search(r"replica_groups=\[(\d+),(\d+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", line):
        sides = [int(i) for i in found[3].split(",")]
        order = [int(i) for i in found[4].split(",")] if found[4] else list(range(len(sides)))
        flat = _transposed(sides, order)
        size = int(found[2])
        return [flat[i : i + size] for i in range(0, len(flat), size)]
    if found := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", line):
        axes = {name: int(n) for name, n in re.findall(r"'([^']+)'=(\d+)", found[1])}
        along = re.findall(r"'([^']+)'", found[2])
        names = list(axes)
        rest = [name for name in names if name not in along]
        order = [names.index(name) for name in (*rest, *along)]
        flat = _transposed(list(axes.values()), order)
        size = math.prod(axes[name] for name in along)
        return [flat[i : i + size] for i in range(0, len(flat), size)]
    return []


def _transposed(sides: list[int], order: list[int]) -> list[int]:
    import numpy as np

    return np.arange(math.prod(sides)).reshape(sides).transpose(order).reshape(-1).tolist()


def _runs(parts: dict[str, str]) -> tuple[dict[str, tuple[int, bool]], set[str]]:
    """How often each computation runs and whether in a loop, and those whose loop has no length."""
    entry = next((name for name, text in parts.items() if text.startswith("ENTRY")), None)
    runs: dict[str, tuple[int, bool]] = {}
    unknown: set[str] = set()

    def visit(name: str, times: int, inside: bool, lost: bool) -> None:
        if name not in parts:
            return
        before = runs.get(name, (0, False))
        runs[name] = before[0] + times, before[1] or inside
        if lost:
            unknown.add(name)
        for line in parts[name].splitlines()[1:]:
            if re.search(r"-(done|update)\(", line):
                continue
            if found := re.search(r" while\(.*condition=%?([\w.\-]+), body=%?([\w.\-]+)", line):
                trips = _trips(line, parts.get(found[1], ""))
                visit(found[2], times * (trips or 1), True, lost or trips is None)
                continue
            called = re.findall(r"(?:calls|to_apply|computation)=%?([\w.\-]+)", line)
            for group in re.findall(
                r"(?:branch_computations|called_computations)=\{([^}]*)\}", line
            ):
                called += re.findall(r"%?([\w.\-]+)", group)
            for each in dict.fromkeys(called):
                visit(each, times, inside, lost)

    if entry is not None:
        visit(entry, 1, False, False)
    return runs, unknown


def _trips(line: str, condition: str) -> int | None:
    """The iterations of a loop: as the compiler knows them, or as its condition compares."""
    if found := re.search(r'known_trip_count":\{"n":"(\d+)"', line):
        return int(found[1])
    bounds = re.findall(r" = s32\[\]\S* constant\((\d+)\)", condition)
    compared = len(re.findall(r"direction=LT", condition)) == 1
    return int(bounds[0]) if len(bounds) == 1 and compared else None
