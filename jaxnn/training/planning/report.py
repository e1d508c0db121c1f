"""Plans as text."""

from typing import Any

from jaxnn.training.planning.compiled import CompiledPlan, as_size
from jaxnn.training.planning.plans import StepPlan


def report(plan: Any) -> str:
    """A plan as a few aligned lines, with sizes per device.

    Args:
      plan: what `plan` or `compile_for` returned.

    Returns:
      Text.

    Raises:
      TypeError: if it is neither.

    >>> import jaxnn as nn
    >>> sizes = {"arguments": 2**20, "outputs": 2**20, "temporaries": 0, "peak": 2**20}
    >>> plan = nn.training.CompiledPlan(
    ...     target="v5e:2x2", devices=4, **sizes, capacity=2**34, collectives={}, traffic=(),
    ...     lost_loops=0, seconds=1.0,
    ... )
    >>> print(nn.training.report(plan).split("\\n")[0])
    v5e:2x2 (devices: 4): compiled, not run
    """
    if isinstance(plan, CompiledPlan):
        return _compiled(plan)
    if isinstance(plan, StepPlan):
        return _whole(plan)
    raise TypeError(f"report takes what plan or compile_for returned, got {type(plan).__name__}.")


def _compiled(plan: CompiledPlan) -> str:
    room = (
        f" of {as_size(plan.capacity)} ({plan.peak / plan.capacity:.1%})" if plan.capacity else ""
    )
    counts = ", ".join(f"{count} {kind}" for kind, count in plan.collectives.items()) or "none"
    return f"""{plan.target} (devices: {plan.devices}): compiled, not run
  arguments    {as_size(plan.arguments)}
  outputs      {as_size(plan.outputs)}
  temporaries  {as_size(plan.temporaries)}
  peak         {as_size(plan.peak)}{room}
  collectives  {counts}
  compiled in  {plan.seconds:.1f} s"""


def _whole(plan: StepPlan) -> str:
    memory, line = plan.memory, plan.roofline
    how = "compiled, not run" if plan.compiled else "estimated, not compiled"
    if plan.refusal:
        how = "refused by the compiler, not run; memory is estimated"
    lines = [
        f"{plan.topology} (devices: {plan.devices}), {plan.sharding}: {how}",
        f"  params       {plan.params:,}",
        "  multiply-adds of a step  "
        + (", ".join(f"{n:,} {dtype}" for dtype, n in plan.macs.items()) or "none"),
        "memory of a device",
        f"  params       {as_size(memory.params)}",
        f"  moments      {as_size(memory.moments)}",
        f"  state        {as_size(memory.state)}",
        f"  batch        {as_size(memory.batch)}",
        f"  temporaries  {as_size(memory.temporaries)}",
        f"  peak         {as_size(memory.peak)}{_room(plan)}",
    ]
    if plan.cache is not None:
        lines.append(f"  cache of all devices for serving  {as_size(plan.cache)}")
    lines.append("sent by a device in a step" if plan.traffic else "nothing is sent")
    for each in plan.traffic:
        where = "between slices or hosts" if each.crosses else "within a slice or host"
        loop = ", in a loop" if each.inside else ""
        sent = f"{as_size(each.sent)} in {each.times:,}, {where}{loop}"
        lines.append(f"  {each.kind:19}{sent}")
    lines.append("roofline of a step, from published numbers")
    for name in ("compute", "memory", "network"):
        seconds = getattr(line, name)
        mark = "  bounds the step" if name == line.bound else ""
        lines.append(f"  {name:12} {_time(seconds)}{mark}")
    if plan.rate is not None:
        lines.append(f"  {plan.rate:,.0f} {plan.unit}/s at {plan.share:.0%} of it")
    if plan.compiled:
        lines.append(f"compiled in {plan.compiled.seconds:.1f} s")
    if plan.refusal:
        lines.append(f"refused: {plan.refusal}")
    lines += [f"not known: {each}" for each in plan.unknown]
    return "\n".join(lines)


def _room(plan: StepPlan) -> str:
    memory = plan.memory
    if memory.capacity is None:
        return ""
    verdict = "fits" if plan.fits else "does not fit"
    return f" of {as_size(memory.capacity)} ({memory.peak / memory.capacity:.1%}): {verdict}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "not known"
    scale, unit = (1, "s") if seconds >= 1 else (1e3, "ms") if seconds >= 1e-3 else (1e6, "us")
    return f"{seconds * scale:.3g} {unit}"
