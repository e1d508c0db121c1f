"""What does `fit` cost beside the bare compiled step, with checkpoints, a bar, and more devices?

The same steps on the same batches: a Python loop around the compiled step, `fit` on arrays that lie
on the device, on an iterable of batches, with a checkpoint every 100 steps, and with a bar and a
row of history every 10 steps. Rounds interleave all of them. Devices are simulated ones of this
CPU, so that only the operations in the program of each device say how the work is divided.

That all end with the same params is checked before anything is timed.
"""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

import jaxnn as nn
from benchmarks import chart as charts
from benchmarks import checks, timing

WIDTH, ROWS, BATCH = 512, 4096, 128  # a step of about 5 ms on two cores
EVERY, DEVICES = 100, (1, 2, 4, 8)
QUARTILES = ("low", "median", "high")
BARE = "bare step"
THRESHOLDS = {"fit, arrays": 1.02, "fit, iterable": 1.02, "fit, checkpoints": 1.03}
PROGRAM = """
import sys
import jax, optax
jax.config.update("jax_num_cpu_devices", 8)
import jaxnn as nn
devices, width, rows = map(int, sys.argv[1:])
mesh = jax.make_mesh((devices,), ("data",), devices=jax.devices()[:devices])
sharding = nn.training.data_parallel(mesh)
net, optimizer = nn.mlp(width, width, 10), optax.sgd(1e-3, 0.9)
loss = nn.training.supervised(net, optax.softmax_cross_entropy_with_integer_labels)
step = nn.training.step(loss, optimizer, sharding=sharding)
x = jax.ShapeDtypeStruct((devices * rows, width), "float32")
y = jax.ShapeDtypeStruct((devices * rows,), "int32")
key = jax.random.key(0)
train = jax.eval_shape(lambda: nn.training.init_train(net, optimizer, key, x))
import time
begin = time.perf_counter()
program = step.lower(train, (x, y)).compile()
print(program.cost_analysis()["flops"], time.perf_counter() - begin)
"""


def variants(steps: int, folder: Path) -> dict[str, Any]:
    """The ways to take so many steps, by title; each starts from the same train state."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, WIDTH)).astype(np.float32)
    y = rng.integers(0, 10, ROWS).astype(np.int32)
    net, optimizer = nn.mlp(WIDTH, WIDTH, 10), optax.sgd(1e-3, 0.9)
    loss = nn.training.supervised(net, optax.softmax_cross_entropy_with_integer_labels)
    step = nn.training.step(loss, optimizer)
    start = nn.training.init_train(net, optimizer, jax.random.key(0), x)
    batches = [(x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, ROWS, BATCH)]
    placed = jax.device_put(batches)
    saved = iter(range(1_000_000))

    def bare():
        train = jax.tree.map(lambda leaf: leaf.copy(), start)
        for i in range(steps):
            train, _ = step(train, placed[i % len(placed)])
        return train.params

    def fitted(data: Any, **options: Any) -> Any:
        settings = {"steps": steps, "every": EVERY, "progress": False, "shuffle": False, **options}
        return nn.training.fit(step, start, data, **settings).train.params

    def shown():
        with contextlib.redirect_stderr(io.StringIO()):
            return fitted((x, y), batch_size=BATCH, every=10, progress=True)

    return {
        BARE: bare,
        "fit, arrays": lambda: fitted((x, y), batch_size=BATCH),
        "fit, iterable": lambda: fitted(batches),
        "fit, checkpoints": lambda: fitted(
            (x, y), batch_size=BATCH, checkpoint=folder / str(next(saved))
        ),
        "fit, bar, a row every 10": shown,
    }


def agree(runs: dict[str, Any]) -> None:
    """Raises AssertionError if a way ends elsewhere than the bare step."""
    wanted = jax.device_get(runs[BARE]())
    for title, run in runs.items():
        for ours, theirs in zip(*map(jax.tree.leaves, (run(), wanted)), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5, err_msg=title)


def scaled(devices: int, rows: int) -> dict[str, float]:
    """The operations in the program of one device, and the seconds to compile it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, (devices, WIDTH, rows))],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    flops, seconds = map(float, done.stdout.split())
    return {"devices": devices, "flops": flops, "compile_seconds": seconds}


def measure(quick: bool) -> dict[str, Any]:
    """The report: a row for each way, one for each number of devices, and the checks."""
    steps = EVERY if quick else 10 * EVERY
    with tempfile.TemporaryDirectory() as folder:
        agree(variants(EVERY, Path(folder) / "agree"))
        taken = timing.interleaved(variants(steps, Path(folder)), 3 if quick else 9)
    rows = []
    for title, seconds in taken.items():
        quartiles = timing.quartiles([1e3 * each / steps for each in seconds])
        over = timing.ratio(seconds, taken[BARE])
        rows.append({"title": title, **dict(zip(QUARTILES, quartiles, strict=True)), "over": over})
    divided = [scaled(devices, BATCH) for devices in DEVICES[:: 3 if quick else 1]]
    over = {row["title"]: row["over"] for row in rows}
    judged = [
        checks.check(f"time over the bare step's, {title}", over[title], threshold)
        for title, threshold in THRESHOLDS.items()
    ]
    metric = f"operations a device, {DEVICES[-1]} devices over 1, {BATCH} rows each"
    judged.append(checks.check(metric, divided[-1]["flops"] / divided[0]["flops"], 1.01))
    return {
        **timing.environment(), "steps": steps, "rows": rows, "devices": divided, "checks": judged
    }  # fmt: skip


def text(report: dict[str, Any]) -> str:
    """The report in lines."""
    lines = [
        f"{report['steps']} steps of a net {WIDTH}-{WIDTH}-{WIDTH}-10, {BATCH} rows each "
        f"(jax {report['jax']}, {report['machine']}): milliseconds a step.",
        f"  {'':<26}{'ms':>7}{'[quartiles]':>18}{'over bare':>11}",
    ]
    for row in report["rows"]:
        spread = f"[{row['low']:.2f}, {row['high']:.2f}]"
        lines.append(f"  {row['title']:<26}{row['median']:>7.2f}{spread:>18}{row['over']:>11.3f}")
    lines += ["", f"{BATCH} rows a device, data parallel: the program of one device."]
    lines.append(f"  {'devices':>7}{'MFLOP':>9}{'compile s':>11}")
    for row in report["devices"]:
        seconds = row["compile_seconds"]
        lines.append(f"  {row['devices']:>7}{row['flops'] / 1e6:>9.1f}{seconds:>11.2f}")
    return "\n".join([*lines, "", *checks.lines(report)])


def chart(report: dict[str, Any], path: Path) -> None:
    """One bar for each way."""
    bars = [
        charts.Bar(row["title"], "a step", *(row[q] for q in QUARTILES)) for row in report["rows"]
    ]
    panel = charts.Panel(f"a net {WIDTH}-{WIDTH}-{WIDTH}-10, batches of {BATCH}", bars)
    charts.draw(path, "The loop beside the bare step", "milliseconds", [panel])
