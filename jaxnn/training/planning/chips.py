"""Accelerators by their published numbers, and topologies of them: "v5e:16x16", "2*v5p:4x4x4"."""

import difflib
import math
import re
from typing import NamedTuple

TPU = "https://docs.cloud.google.com/tpu/docs/"
NVIDIA = "https://www.nvidia.com/en-us/data-center/"


class Chip(NamedTuple):
    """A kind of chip; every number is that of one of its devices, of which tpu7x has two.

    kind: the platform of its compiler. largest: sides of the largest slice in chips, or the most
    cards. memory: bytes that a program may take. peaks: operations a second by dtype, a multiply-
    add being two; float32 at JAX's default precision is bfloat16 on a TPU and TF32 on a GPU, and
    "float32 highest" is exact. bandwidth: bytes a second of the memory. link: bytes a second that
    one device sends to others of its slice or host, over all of its links. network: the same
    between slices or hosts; None where nothing is published. card: what the compiler is told.
    """

    kind: str
    largest: tuple[int, ...]
    memory: int
    peaks: dict[str, float]
    bandwidth: float | None
    link: float | None
    network: float | None
    source: str
    devices: int = 1
    card: str = ""


class Topology(NamedTuple):
    """Devices that are not there: slices of a TPU, or GPUs in hosts of eight."""

    text: str
    name: str
    slices: int
    shape: tuple[int, ...]

    @property
    def chip(self) -> Chip:
        """The numbers of one device."""
        return CHIPS[self.name]

    @property
    def count(self) -> int:
        """The number of devices."""
        return self.slices * math.prod(self.shape) * self.chip.devices

    def neighborhood(self, position: int) -> int:
        """The slice or host of a device: within one, devices have fast links."""
        if self.chip.kind == "tpu":
            return position * self.slices // self.count
        return position // 8 if self.chip.kind == "cuda" else 0


def _tpu(largest, memory, bfloat16, int8, bandwidth, both_ways, network, page, devices=1, **more):
    # TFLOP/s and TOP/s, GB/s, GB/s of all links in both directions, Gbit/s; of a chip.
    def each(number):
        return number / devices

    # By the number of bfloat16 products that XLA makes of one of float32.
    peaks = {"bfloat16": bfloat16, "float16": bfloat16, "float32": bfloat16, "int8": int8}
    peaks |= {"float32 high": bfloat16 / 3, "float32 highest": bfloat16 / 6, **more}
    peaks = {dtype: each(peak) * 1e12 for dtype, peak in peaks.items()}
    return Chip(
        "tpu", largest, int(memory * 2**30), peaks, each(bandwidth) * 1e9,
        each(both_ways) / 2 * 1e9, each(network) / 8 * 1e9 if network else None, TPU + page,
        devices,
    )  # fmt: skip


def _gpu(sm, cores, core, l2, rate, ghz, memory, peaks, both_ways, network, page):
    # By published numbers: lanes, threads and KiB of a core; MiB of cache; GB/s; GHz; bytes.
    lanes, threads, shared = core
    # From Ampere on the driver keeps 1 KiB of a block's shared memory to itself.
    block = shared - 1 if sm >= 80 else shared
    # From Hopper on a program is compiled for the very card, not for its whole generation.
    extension = "feature_extension: ACCELERATED_FEATURES" if sm >= 90 else ""
    card = f"""
      platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 10 }} gpu_device_info {{
      cuda_compute_capability {{ major: {sm // 10} minor: {sm % 10} {extension} }}
      core_count: {cores} fpus_per_core: {lanes} clock_rate_ghz: {ghz} threads_per_warp: 32
      threads_per_core_limit: {threads} threads_per_block_limit: 1024
      shared_memory_per_core: {shared << 10} shared_memory_per_block_optin: {block << 10}
      shared_memory_per_block: 49152 l2_cache_size: {l2 << 20} memory_bandwidth: {rate * 10**9}
      device_memory_size: {memory} registers_per_core_limit: 65536 registers_per_block_limit: 65536
      block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
      thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
      driver_version: "13.0.0" runtime_version: "13.0.0" dnn_version: "9.10.0" }}"""
    half, tf32, exact, double, int8 = peaks
    peaks = {"bfloat16": half, "float16": half, "float32": tf32, "float32 highest": exact}
    peaks |= {"float64": double, "int8": int8}
    if sm < 80:  # no unit for either
        peaks |= {"bfloat16": exact, "float32": exact}
    return Chip(
        "cuda", (4096,), memory, {dtype: peak * 1e12 for dtype, peak in peaks.items()}, rate * 1e9,
        both_ways / 2 * 1e9, network / 8 * 1e9 if network else None, NVIDIA + page, card=card,
    )  # fmt: skip


_HOPPER = (989.4, 494.7, 66.9, 33.5, 1978.9), 900, 400
# The memory of a TPU is what its compiler grants a program, that of a card what its driver reports.
# GPUs: dense rates, without sparsity; the network of the DGX that holds eight of them.
CHIPS: dict[str, Chip] = {
    # Links of v4: 6 of 50 GB/s each way (Jouppi et al., TPU v4, 2023).
    "v4": _tpu((16, 16, 16), 30.75, 275, 275, 1200, 600, None, "v4"),
    "v5e": _tpu((16, 16), 15.75, 197, 393, 819, 400, 25, "v5e"),
    "v6e": _tpu((16, 16), 31.25, 918, 1836, 1638, 800, 100, "v6e"),
    "v5p": _tpu((16, 20, 28), 95.74, 459, 918, 2765, 1200, 50, "v5p"),
    "tpu7x": _tpu((16, 24, 24), 94.75, 2307, 4614, 7380, 1200, 100, "tpu7x", 2),
    "t4": _gpu(
        75, 40, (64, 1024, 64), 4, 320, 1.59, 15_843_721_216, (65, 8.1, 8.1, 0.25, 130), 32, None,
        "tesla-t4",
    ),
    "a100": _gpu(
        80, 108, (64, 2048, 164), 40, 2039, 1.41, 85_100_068_864, (312, 156, 19.5, 9.7, 624), 600,
        200, "a100",
    ),
    "l4": _gpu(
        89, 58, (128, 1536, 100), 48, 300, 2.04, 23_612_293_120, (121, 60, 30.3, 0.47, 242), 64,
        None, "l4",
    ),
    "h100": _gpu(
        90, 132, (128, 2048, 228), 50, 3352, 1.98, 84_942_979_072, *_HOPPER, "h100",
    ),
    "h200": _gpu(
        90, 132, (128, 2048, 228), 50, 4800, 1.98, 150_754_820_096, *_HOPPER, "h200",
    ),
    "cpu": Chip("cpu", (4096,), 0, {}, None, None, None, "this machine"),
}  # fmt: skip


def parse(text: str) -> Topology:
    """The topology that a text names; raises ValueError with those that exist.

    >>> parse("2*v5e:4x4").count
    32
    """
    slices, _, one = text.rpartition("*")
    name, _, size = one.partition(":")
    if name not in CHIPS or not re.fullmatch(r"([1-9]\d*)?", slices):
        near = difflib.get_close_matches(name.lower(), CHIPS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}, or another" if near else "use one"
        raise ValueError(f"topology {text!r} is unknown: {hint} of {', '.join(CHIPS)}.")
    chip = CHIPS[name]
    size = size or "x".join("1" * len(chip.largest))
    shape = tuple(map(int, size.split("x"))) if re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", size) else ()
    # A host has eight cards or 2x2 chips; beyond a part of one, hosts are taken whole.
    host, part = {"tpu": ((2, 2), 1), "cuda": ((8,), 8), "cpu": ((1,), 1)}[chip.kind]
    whole = math.prod(shape) <= part or not any(map(int.__mod__, shape, host))
    # Checked here because the TPU's compiler ends the whole process on some slices too large.
    large = any(map(int.__gt__, sorted(shape), chip.largest))
    if not whole or len(shape) != len(chip.largest) or large:
        most, full = ("x".join(map(str, sides)) for sides in (chip.largest, host))
        sizes = f"{name}:SIZE is at most {part} or, in whole hosts of {full}, at most {most}"
        raise ValueError(f"{sizes}, not {size!r}.")
    if slices and chip.kind != "tpu":
        raise ValueError(f"topology {text!r}: TPUs alone have slices, write {name}:{size}.")
    return Topology(text, name, int(slices or 1), shape)
