"""What does an update step cost on every backend and, for an MLP, in every variant?

One step is forward, backward and SGD with momentum, or a network's own training step. Variants are
timed only after they have been found to agree.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import chart as charts
from benchmarks import checks, mlp_variants, networks, timing
from benchmarks.mlp_variants import Case
from benchmarks.peers import cases
from jaxnn import training
from jaxnn.checks import install

SMALL, LARGE = Case((16, 64, 64, 1), 32, 4096), Case((784, 512, 512, 10), 128, 4096)
STEPS = {SMALL: 10_000, LARGE: 200}  # of one timed call, for variants with many steps a dispatch
FIT, SCAN, NUMPY = "fit, resident data", "lax.scan by hand", "NumPy by hand"
# Each variant, and the share of those steps that its timed call takes.
VARIANTS: dict[str, tuple[Callable[[Case, Any], mlp_variants.Run], float]] = {
    NUMPY: (mlp_variants.numpy_by_hand, 0.05),
    "JAX without jit": (mlp_variants.without_jit, 0.002),
    "jitted step": (mlp_variants.step_by_step, 0.1),
    FIT: (mlp_variants.fit, 1.0),
    SCAN: (mlp_variants.scan_by_hand, 1.0),
}
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.25}  # relative to the distance that params moved
CHECKED = 5  # steps after which the variants are compared
MATMUL = {"cpu": (512, 1024, 1536), "gpu": (2048, 4096, 8192), "tpu": (2048, 4096, 8192)}
INSTALL = {"gpu": install("cuda"), "tpu": install("tpu")}
COMPILERS = {"gpu": ("cuda", "h100"), "tpu": ("tpu", "v5e:2x2")}  # compiler, and target of the plan


def measure(quick: bool) -> dict[str, Any]:
    """The report: a row for each network, backend, variant and dtype, and the checks."""
    devices = {name: device(name) for name in ("cpu", "gpu", "tpu")}
    rows, rates, found = [], {}, []
    for backend, where in devices.items():
        if where is not None:
            with jax.default_device(where):
                its_rows, rates[backend], its_checks = measure_backend(backend, quick)
            rows, found = rows + its_rows, found + its_checks
    imports = timing.import_seconds("jaxnn", ("jax", "optax", "chex"), 3 if quick else 7)
    seconds = timing.quartiles(imports)[1]
    found.append(checks.check("seconds that import jaxnn adds", seconds, 0.15))
    return {
        **timing.environment(),
        "devices": {name: at.device_kind for name, at in devices.items() if at is not None},
        "flops": {at.title: flops(at) for at in (*STEPS, *other_networks(quick))},
        "matmul_gflops": rates,
        "rows": rows,
        "absent": {name: absent(name, quick) for name, at in devices.items() if at is None},
        "checks": found,
    }


def device(backend: str) -> Any:
    """The first device of a backend, or None if there is none."""
    try:
        return jax.devices(backend)[0]
    except RuntimeError:
        return None


def other_networks(quick: bool) -> tuple[networks.Network, ...]:
    """The networks that are timed beside the MLPs."""
    return networks.QUICK if quick else networks.NETWORKS


def flops(case: Case | networks.Network) -> int:
    """Floating-point operations that a step needs."""
    return mlp_variants.flops(case) if isinstance(case, Case) else cases.flops(case.title)


def is_timed(case: Case, variant: str, dtype: str, backend: str, quick: bool) -> bool:
    """Whether a variant is timed: NumPy runs on the CPU alone and has no bfloat16."""
    if variant == NUMPY:
        return backend == "cpu" and dtype == "float32"
    # Most of a quick run is compiling, so its bfloat16 variants only show that they work.
    return dtype == "float32" or not quick or (case == SMALL and variant in (FIT, SCAN))


def measure_backend(backend: str, quick: bool) -> tuple[list[dict], float, list[dict]]:
    """Rows, the matmul rate in GFLOP/s, and checks of one backend."""
    compile_seconds, runs, steps = {}, {}, {}
    # Accelerators shorten float32 inside matmuls; while results are compared they must not.
    precision = None if backend == "cpu" else "highest"
    for case, count in STEPS.items():
        note(f"{backend}: {case.title}: comparing the variants")
        built = {
            (variant, dtype): make(case, DTYPES[dtype])
            for variant, (make, _) in VARIANTS.items()
            for dtype in DTYPES
            if is_timed(case, variant, dtype, backend, quick)
        }
        for (variant, dtype), run in built.items():
            at = (case, variant, dtype)
            steps[at] = max(2, int(count * VARIANTS[variant][1] / (10 if quick else 1)))
            compile_seconds[at] = timing.compile_seconds(lambda run=run: run(CHECKED, True))
            runs[at] = lambda run=run, n=steps[at]: run(n, True)
        with jax.default_matmul_precision(precision):
            agree(case, built)
    for network in other_networks(quick):
        note(f"{backend}: {network.title}: comparing the dtypes")
        with jax.default_matmul_precision(precision):
            losses = {dtype: networks.losses(network, DTYPES[dtype]) for dtype in DTYPES}
            networks.agree(network, losses)
        for dtype, run in losses.items():
            at = (network, networks.VARIANT, dtype)
            steps[at] = 2 if quick else network.steps
            compile_seconds[at] = networks.compile_seconds(network, DTYPES[dtype])
            runs[at] = lambda run=run, n=steps[at]: run(n)
    note(f"{backend}: timing {len(runs)} variants, round after round")
    matmuls = timing.matmuls(MATMUL[backend])
    taken = timing.interleaved({**matmuls, **runs}, 3 if quick else 11)
    rates = timing.matmul_rates({size: taken[size] for size in matmuls})
    rows = []
    for case, variant, dtype in runs:
        at = (case, variant, dtype)
        seconds = [value / steps[at] for value in taken[at]]
        flop_rates = [flops(case) / value for value in seconds]
        low, median, high = (1e3 * value for value in timing.quartiles(seconds))
        rows.append(
            {
                "network": case.title,
                "backend": backend,
                "variant": variant,
                "dtype": dtype,
                "median_ms": median,
                "low_ms": low,
                "high_ms": high,
                "gflops": flops(case) / median / 1e6,
                "share_of_matmul": timing.ratio(flop_rates, rates),
                "compile_seconds": compile_seconds[at],
                "steps": steps[at],
                "rounds": len(seconds),
            }
        )
    found = checks_of(rows, taken) if backend == "cpu" else []
    return rows, timing.quartiles(rates)[1] / 1e9, found


def checks_of(rows: list[dict], taken: Mapping[Any, list[float]]) -> list[dict]:
    """The checks on a CPU: the cost of fit, alone and beside a scan by hand, and its flop rate."""
    fits = {
        row["network"]: row for row in rows if (row["variant"], row["dtype"]) == (FIT, "float32")
    }
    over = timing.ratio(taken[SMALL, FIT, "float32"], taken[SMALL, SCAN, "float32"])
    ms, share = fits[SMALL.title]["median_ms"], fits[LARGE.title]["share_of_matmul"]
    return [
        checks.check(f"ms a step of fit, {SMALL.title}", ms, 0.06),
        checks.check(f"fit over a lax.scan by hand, {SMALL.title}", over, 1.15),
        checks.check(f"share of the matmul rate of fit, {LARGE.title}", share, 0.6, True),
    ]


def agree(case: Case, runs: Mapping[tuple[str, str], mlp_variants.Run]) -> None:
    """Compare the params of all variants after the same batches with those of NumPy in float64.

    Args:
      case: the MLP.
      runs: the runs by variant and dtype.

    Raises:
      ValueError: if the params of a variant differ by more than rounding.
    """
    start = mlp_variants.dense_params(mlp_variants.begin(case)[1].params)
    expected = mlp_variants.numpy_by_hand(case, np.float64)(CHECKED, False)
    for (variant, dtype), run in runs.items():
        params = run(CHECKED, False)
        for i, (layer, want, first) in enumerate(zip(params, expected, start, strict=True)):
            for name in want:
                moved = np.linalg.norm(want[name] - first[name])
                error = np.linalg.norm(np.asarray(layer[name], np.float64) - want[name]) / moved
                if not error <= TOLERANCE[dtype]:
                    raise ValueError(
                        f"{case.title}: {variant!r} in {dtype} disagrees with NumPy in float64: "
                        f"after {CHECKED} steps the error of {name} in layer {i} is {error:.1e} of "
                        f"the distance it moved, and {TOLERANCE[dtype]:.0e} is allowed for "
                        "rounding; fix that variant before timing it."
                    )


def absent(backend: str, quick: bool) -> dict[str, Any]:
    """How to install a backend, and, if its compiler is installed, the plans of all steps."""
    compiler, target = COMPILERS[backend]
    command = training.available()[compiler]
    facts = {"install": INSTALL[backend], "compiler": command, "compiled_not_run": []}
    if command is None and not quick:
        for case in (*STEPS, *networks.NETWORKS):
            note(f"{target}: {case.title}: compiling")
            plan = training.compile_for(target, *begin(case))
            entry = {"network": case.title, **plan._asdict(), "text": training.report(plan)}
            facts["compiled_not_run"].append(entry)
    return facts


def begin(case: Case | networks.Network) -> tuple[Any, Any, Any]:
    """The jitted step, its initial train state, and a batch."""
    if not isinstance(case, Case):
        return networks.begin(case, jnp.float32)
    batch = jax.tree.map(lambda leaf: leaf[: case.batch], mlp_variants.data(case))
    return *mlp_variants.begin(case), batch


def note(line: str) -> None:
    """Print progress on stderr, because a run takes a minute or two."""
    print(line, file=sys.stderr)


def text(report: dict[str, Any]) -> str:
    """The report in lines."""
    limits = ", ".join(f"{dtype} {tolerance:g}" for dtype, tolerance in TOLERANCE.items())
    lines = [
        f"One update step: forward, backward, SGD with momentum, or a network's own step (jax "
        f"{report['jax']}, {report['machine']}).",
        f"All variants agree: their params after {CHECKED} steps differ from those of NumPy in "
        f"float64 by at most these shares of the distance moved: {limits}.",
    ]
    for backend, rate in report["matmul_gflops"].items():
        lines.append(f"{backend}: the machine's own float32 matmul rate is {rate:.0f} GFLOP/s.")
        for network, flops in report["flops"].items():
            lines += ["", f"{network} on {backend}: {flops / 1e6:.4g} MFLOP a step"]
            lines.append(
                f"  {'variant':<20}{'dtype':<10}{'ms/step':>9}{'[quartiles]':>20}"
                f"{'GFLOP/s':>9}{'of matmul':>11}{'compile s':>11}"
            )
            for row in rows_of(report, network, backend):
                spread = f"[{row['low_ms']:.4f}, {row['high_ms']:.4f}]"
                lines.append(
                    f"  {row['variant']:<20}{row['dtype']:<10}{row['median_ms']:>9.4f}{spread:>20}"
                    f"{row['gflops']:>9.2f}{row['share_of_matmul']:>11.1%}"
                    f"{row['compile_seconds']:>11.2f}"
                )
    for backend, facts in report["absent"].items():
        lines += ["", f"{backend}: not available here; to install it: {facts['install']}"]
        if facts["compiler"]:
            lines.append(f"  To compile for it without one: {facts['compiler']}")
        for plan in facts["compiled_not_run"]:
            lines += [f"  {plan['network']}", *(f"    {line}" for line in plan["text"].split("\n"))]
    return "\n".join([*lines, "", *checks.lines(report)])


def rows_of(report: dict[str, Any], network: str, backend: str) -> list[dict]:
    """The rows of one network on one backend."""
    return [row for row in report["rows"] if (row["network"], row["backend"]) == (network, backend)]


def chart(report: dict[str, Any], path: Path) -> None:
    """One panel for each network and backend, with the time that its matmuls alone would take."""
    panels = []
    for backend, rate in report["matmul_gflops"].items():
        for network, flops in report["flops"].items():
            bars = [
                charts.Bar(
                    row["variant"], row["dtype"], row["low_ms"], row["median_ms"], row["high_ms"]
                )
                for row in rows_of(report, network, backend)
            ]
            limit = (flops / rate / 1e6, "its flops at the matmul rate")
            panels.append(charts.Panel(f"{network}, on {backend}", bars, limit))
    charts.draw(path, "One update step", "ms a step", panels)
