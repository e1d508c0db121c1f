"""What does an update step cost, on every backend and, for a dense network, in every way?

One step is forward, backward and SGD with momentum, or what a network with a step of its own takes.
All ways must first agree.
"""

import os
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import chart as charts
from benchmarks import networks, timing, ways
from benchmarks.ways import Case
from jaxnn.checks import install
from jaxnn.training import planning

SMALL, LARGE = Case((16, 64, 64, 1), 32, 4096), Case((784, 512, 512, 10), 128, 4096)
STEPS = {SMALL: 10_000, LARGE: 200}  # in one call of the ways that dispatch many at once
WAYS: dict[str, tuple[Callable[[Case, Any], ways.Run], float]] = {  # and the share others take
    "NumPy by hand": (ways.numpy_by_hand, 0.05),
    "JAX without jit": (ways.without_jit, 0.002),
    "jitted step": (ways.step_by_step, 0.1),
    "fit, resident data": (ways.fit, 1.0),
    "lax.scan by hand": (ways.scan_by_hand, 1.0),
}
FIT, SCAN = "fit, resident data", "lax.scan by hand"
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.25}  # of how far params moved from their start
CHECKED = 5  # steps until the ways are compared
SIZES = {"cpu": (512, 1024, 1536), "gpu": (2048, 4096, 8192), "tpu": (2048, 4096, 8192)}  # matmuls
INSTALL = {"gpu": install("cuda"), "tpu": install("tpu")}
COMPILERS = {"gpu": ("cuda", "h100"), "tpu": ("tpu", "v5e:2x2")}


def measure(quick: bool) -> dict[str, Any]:
    """The report: a row for each network, backend, way and dtype, then checks against bars."""
    devices = {name: device(name) for name in ("cpu", "gpu", "tpu")}
    rows, roofs, checks = [], {}, []
    for backend, where in devices.items():
        if where is not None:
            with jax.default_device(where):
                measured, roofs[backend], held = one(backend, quick)
            rows, checks = rows + measured, checks + held
    imported = timing.importing("jaxnn", ("jax", "optax", "chex"), 3 if quick else 7)
    checks.append(check("seconds that import jaxnn adds", timing.quartiles(imported)[1], 0.15))
    return {
        "jax": jax.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "devices": {name: at.device_kind for name, at in devices.items() if at is not None},
        "flops": {at.title: flops(at) for at in (*STEPS, *tried(quick))},
        "matmul_gflops": roofs,
        "rows": rows,
        "absent": {name: absent(name, quick) for name, at in devices.items() if at is None},
        "checks": checks,
    }


def device(backend: str) -> Any:
    """The first device of a backend, None where there is none."""
    try:
        return jax.devices(backend)[0]
    except RuntimeError:
        return None


def tried(quick: bool) -> tuple[networks.Network, ...]:
    """The networks beside the dense ones."""
    return networks.QUICK if quick else networks.NETWORKS


def check(metric: str, value: float, bar: float, higher_is_better: bool = False) -> dict[str, Any]:
    """A value against its bar, as it stands in the report."""
    return {"metric": metric, "value": value, "bar": bar, "higher_is_better": higher_is_better}


def flops(at: Case | networks.Network) -> int:
    """Floating-point operations that a step needs."""
    return ways.flops(at) if isinstance(at, Case) else networks.flops(at)


def there(case: Case, way: str, dtype: str, backend: str, quick: bool) -> bool:
    """Whether a way is taken: NumPy knows the CPU alone and no bfloat16."""
    if way == "NumPy by hand":
        return backend == "cpu" and dtype == "float32"
    # Most of a quick run is compiling, so it has bfloat16 for little more than a proof.
    return dtype == "float32" or not quick or (case == SMALL and way in (FIT, SCAN))


def one(backend: str, quick: bool) -> tuple[list[dict], float, list[dict]]:
    """Rows, the matmul rate in GFLOP/s and checks of one backend."""
    compiled, variants, steps = {}, {}, {}
    for case, most in STEPS.items():
        note(f"{backend}: {case.title}: do all ways agree?")
        built = {
            (way, dtype): make(case, DTYPES[dtype])
            for way, (make, _) in WAYS.items()
            for dtype in DTYPES
            if there(case, way, dtype, backend, quick)
        }
        for (way, dtype), run in built.items():
            at = (case, way, dtype)
            steps[at] = max(2, int(most * WAYS[way][1] / (10 if quick else 1)))
            compiled[at] = timing.compiling(lambda run=run: run(CHECKED, True))
            variants[at] = lambda run=run, n=steps[at]: run(n, True)
        # Accelerators shorten float32 inside matmuls; for the comparison they may not.
        with jax.default_matmul_precision(None if backend == "cpu" else "highest"):
            agree(case, built)
    for network in tried(quick):
        note(f"{backend}: {network.title}: does it agree?")
        with jax.default_matmul_precision(None if backend == "cpu" else "highest"):
            runs = {dtype: networks.steps(network, DTYPES[dtype]) for dtype in DTYPES}
            networks.agree(network, runs)
        for dtype, run in runs.items():
            at = (network, networks.WAY, dtype)
            steps[at] = 2 if quick else network.steps
            compiled[at] = networks.compiling(network, DTYPES[dtype])
            variants[at] = lambda run=run, n=steps[at]: run(n)
    note(f"{backend}: {len(variants)} variants, round after round")
    taken = timing.interleaved({**timing.matmuls(SIZES[backend]), **variants}, 3 if quick else 11)
    roof = timing.roof({size: taken[size] for size in SIZES[backend]})
    rows = []
    for at in variants:
        case, way, dtype = at
        each = [seconds / steps[at] for seconds in taken[at]]
        rate = [flops(case) / seconds for seconds in each]
        low, median, high = (1e3 * seconds for seconds in timing.quartiles(each))
        rows.append(
            {
                "network": case.title,
                "backend": backend,
                "way": way,
                "dtype": dtype,
                "median_ms": median,
                "low_ms": low,
                "high_ms": high,
                "gflops": flops(case) / median / 1e6,
                "share_of_matmul": timing.ratio(rate, roof),
                "compile_seconds": compiled[at],
                "steps": steps[at],
                "rounds": len(each),
            }
        )
    checks = bars(rows, taken) if backend == "cpu" else []
    return rows, timing.quartiles(roof)[1] / 1e9, checks


def bars(rows: list[dict], taken: Mapping[Any, list[float]]) -> list[dict]:
    """The bars of a CPU: fit's cost, fit against the hand-written scan, the share of the roof."""
    fits = {row["network"]: row for row in rows if (row["way"], row["dtype"]) == (FIT, "float32")}
    over = timing.ratio(taken[SMALL, FIT, "float32"], taken[SMALL, SCAN, "float32"])
    small, share = fits[SMALL.title]["median_ms"], fits[LARGE.title]["share_of_matmul"]
    return [
        check(f"ms a step of fit, {SMALL.title}", small, 0.06),
        check(f"fit over the hand-written lax.scan, {SMALL.title}", over, 1.15),
        check(f"share of the matmul rate of fit, {LARGE.title}", share, 0.6, True),
    ]


def agree(case: Case, built: Mapping[tuple[str, str], ways.Run]) -> None:
    """Compares where all ways lead on the same batches; the judge is NumPy in float64.

    Raises:
      ValueError: where one leads elsewhere, by more than rounding.
    """
    start = ways.layers(ways.begin(case)[1].params)
    wanted = ways.numpy_by_hand(case, np.float64)(CHECKED, False)
    for (way, dtype), run in built.items():
        got = run(CHECKED, False)
        for i, (layer, want, first) in enumerate(zip(got, wanted, start, strict=True)):
            for name in want:
                moved = np.linalg.norm(want[name] - first[name])
                off = np.linalg.norm(np.asarray(layer[name], np.float64) - want[name]) / moved
                if not off <= TOLERANCE[dtype]:
                    raise ValueError(
                        f"{case.title}: {way!r} in {dtype} disagrees with NumPy in float64: after "
                        f"{CHECKED} steps {name} of layer {i} is off by {off:.1e} of the way it "
                        f"went, {TOLERANCE[dtype]:.0e} is rounding; mend that way before timing it."
                    )


def absent(backend: str, quick: bool) -> dict[str, Any]:
    """What brings a backend, and what its compiler, where it is installed, makes of the steps."""
    compiler, target = COMPILERS[backend]
    command = planning.available()[compiler]
    told = {"install": INSTALL[backend], "compiler": command, "compiled_not_run": []}
    if command is None and not quick:
        for at in (*STEPS, *networks.NETWORKS):
            note(f"{target}: {at.title}: compiling")
            plan = planning.compile_for(target, *begin(at))
            line = {"network": at.title, **plan._asdict(), "text": planning.report(plan)}
            told["compiled_not_run"].append(line)
    return told


def begin(at: Case | networks.Network) -> tuple[Any, Any, Any]:
    """A jitted step, where it starts, and a batch."""
    if not isinstance(at, Case):
        return networks.begin(at, jnp.float32)
    return *ways.begin(at), jax.tree.map(lambda leaf: leaf[: at.batch], ways.data(at))


def note(line: str) -> None:
    """Says on stderr what is going on, for a run takes a minute or two."""
    print(line, file=sys.stderr)


def text(report: dict[str, Any]) -> str:
    """The report in lines."""
    within = ", ".join(f"{dtype} {tolerance:g}" for dtype, tolerance in TOLERANCE.items())
    lines = [
        f"One update step: forward, backward, SGD with momentum, or a network's own step (jax "
        f"{report['jax']}, {report['machine']}).",
        f"All ways agree: {CHECKED} steps lead where NumPy in float64 does, within these shares of "
        f"the way: {within}.",
    ]
    for backend, rate in report["matmul_gflops"].items():
        lines.append(f"{backend}: the machine's own float32 matmul rate is {rate:.0f} GFLOP/s.")
        for network, flops in report["flops"].items():
            lines += ["", f"{network} on {backend}: {flops / 1e6:.4g} MFLOP a step"]
            lines.append(
                f"  {'way':<20}{'dtype':<10}{'ms/step':>9}{'[quartiles]':>20}"
                f"{'GFLOP/s':>9}{'of matmul':>11}{'compile s':>11}"
            )
            for row in report["rows"]:
                if (row["network"], row["backend"]) == (network, backend):
                    spread = f"[{row['low_ms']:.4f}, {row['high_ms']:.4f}]"
                    lines.append(
                        f"  {row['way']:<20}{row['dtype']:<10}{row['median_ms']:>9.4f}{spread:>20}"
                        f"{row['gflops']:>9.2f}{row['share_of_matmul']:>11.1%}"
                        f"{row['compile_seconds']:>11.2f}"
                    )
    for backend, told in report["absent"].items():
        lines += ["", f"{backend}: absent here; {told['install']} brings it."]
        if told["compiler"]:
            lines.append(f"  To compile for it without one: {told['compiler']}")
        for plan in told["compiled_not_run"]:
            lines += [f"  {plan['network']}", *(f"    {line}" for line in plan["text"].split("\n"))]
    return "\n".join([*lines, "", *verdicts(report)])


def verdicts(report: dict[str, Any]) -> list[str]:
    """A line for each bar."""
    lines = ["Bars" + (" (a quick run is too short to judge them):" if report["quick"] else ":")]
    for each in report["checks"]:
        value, limit = each["value"], each["bar"]
        met = value >= limit if each["higher_is_better"] else value <= limit
        sign, verdict = ">=" if each["higher_is_better"] else "<=", "met" if met else "MISSED"
        lines.append(f"  {verdict:<8}{each['metric']}: {value:.4g} (bar {sign} {limit:g})")
    return lines


def chart(report: dict[str, Any], path: Path) -> None:
    """One panel for each network and backend, with the time its matmuls alone would take."""
    panels = []
    for backend, rate in report["matmul_gflops"].items():
        for network, flops in report["flops"].items():
            bars = [
                charts.Bar(
                    row["way"], row["dtype"], row["low_ms"], row["median_ms"], row["high_ms"]
                )
                for row in report["rows"]
                if (row["network"], row["backend"]) == (network, backend)
            ]
            limit = (flops / rate / 1e6, "its flops at the matmul rate")
            panels.append(charts.Panel(f"{network}, on {backend}", bars, limit))
    charts.draw(path, "One update step", "ms a step", panels)
