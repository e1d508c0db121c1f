"""Makes golden values with PyTorch: `python -m tests.golden.make [ROOM ...]`, all rooms by default.

A room is a file beside this one with a function cases() -> {name: what `record` returns}.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    """Standard normal numbers that float32 holds exactly, in float64."""
    values = np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)
    return torch.tensor(values, dtype=torch.float64)


def record(
    forward: Callable[..., Any], inputs: Mapping[str, torch.Tensor]
) -> dict[str, np.ndarray]:
    """One case: forward(**inputs) in float64, and its gradients for every floating input.

    forward returns a tensor or a tuple of them.
    """
    leaves = {
        name: value.clone().requires_grad_(value.is_floating_point())
        for name, value in inputs.items()
    }
    outputs = forward(**leaves)
    outputs = outputs if isinstance(outputs, tuple | list) else (outputs,)
    cotangents = [draw(*y.shape, seed=100 + i) for i, y in enumerate(outputs)]
    torch.stack([(y * c).sum() for y, c in zip(outputs, cotangents, strict=True)]).sum().backward()
    found = {f"in/{name}": _small(value) for name, value in inputs.items()}
    for i, (y, c) in enumerate(zip(outputs, cotangents, strict=True)):
        found |= {f"out/{i}": y.detach().numpy(), f"cot/{i}": _small(c)}
    for name, leaf in leaves.items():
        if leaf.grad is not None:
            found[f"grad/{name}"] = leaf.grad.numpy()
    return found


def _small(value: torch.Tensor) -> np.ndarray:
    # Drawn numbers are float32 already, and half the size so.
    array = value.detach().numpy()
    return array.astype(np.float32) if array.dtype == np.float64 else array


def main(rooms: list[str]) -> None:
    """Writes ROOM.npz for each room."""
    there = sorted(p.stem for p in HERE.glob("*.py") if p.stem not in ("make", "__init__"))
    for room in rooms or there:
        cases = importlib.import_module(f"tests.golden.{room}").cases()
        flat = {
            f"{name}/{key}": value for name, case in cases.items() for key, value in case.items()
        }
        np.savez_compressed(HERE / f"{room}.npz", **flat)
        print(f"{room}: {len(cases)} cases, {(HERE / f'{room}.npz').stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
