"""Golden values: what peers compute, kept in small files, and the check of ours against them.

`python -m tests.golden.make ROOM ...` makes them anew, with PyTorch 2.13 on the CPU.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

HERE = Path(__file__).parent


class Case(NamedTuple):
    """Inputs and params by name, and what a peer made of them, in float64.

    cotangents: weights of the outputs in the scalar whose gradients these are.
    """

    inputs: dict[str, np.ndarray]
    outputs: list[np.ndarray]
    cotangents: list[np.ndarray]
    gradients: dict[str, np.ndarray]


def names(room: str) -> list[str]:
    """The cases of a room."""
    with np.load(HERE / f"{room}.npz") as file:
        return sorted({key.split("/")[0] for key in file})


def load(room: str, name: str) -> Case:
    """One case of a room."""
    parts: dict[str, dict[str, np.ndarray]] = {"in": {}, "out": {}, "cot": {}, "grad": {}}
    with np.load(HERE / f"{room}.npz") as file:
        for key in file:
            if key.split("/")[0] == name:
                _, part, title = key.split("/")
                parts[part][title] = file[key]
    outputs, cotangents = (
        [parts[part][str(i)] for i in range(len(parts[part]))] for part in ("out", "cot")
    )
    return Case(parts["in"], outputs, cotangents, parts["grad"])


def check(case: Case, function: Callable[[dict[str, Any]], Any]) -> None:
    """Asserts that function(inputs) and its gradients are the peer's, in float32 and float64.

    function: from a dict of inputs and params by the case's names to the outputs (any pytree whose
      leaves come in the case's order).
    """
    for dtype, forward, backward in ((np.float32, 1e-5, 1e-4), (np.float64, 1e-10, 1e-10)):
        with jax.enable_x64(dtype == np.float64):
            inputs = {
                name: jnp.asarray(value.astype(dtype) if value.dtype.kind == "f" else value)
                for name, value in case.inputs.items()
            }
            learned = {name: inputs[name] for name in case.gradients}

            def objective(learned, inputs=inputs, dtype=dtype):
                outputs = jax.tree.leaves(function(inputs | learned))
                terms = [
                    jnp.sum(y * c.astype(dtype))
                    for y, c in zip(outputs, case.cotangents, strict=True)
                ]
                return sum(terms), outputs

            gradients, outputs = jax.jit(jax.grad(objective, has_aux=True))(learned)
            for ours, theirs in zip(outputs, case.outputs, strict=True):
                _close(ours, theirs, forward, "output")
            for name, theirs in case.gradients.items():
                _close(gradients[name], theirs, backward, f"gradient of {name}")


def _close(ours: Any, theirs: np.ndarray, tolerance: float, what: str) -> None:
    assert ours.shape == theirs.shape, f"{what}: {ours.shape} against {theirs.shape}"
    scale = max(1.0, float(np.abs(theirs).max(initial=0)))
    worst = float(np.abs(np.asarray(ours, np.float64) - theirs).max(initial=0))
    assert worst <= tolerance * scale, f"{what}: off by {worst:.1e} at a scale of {scale:.1e}"
