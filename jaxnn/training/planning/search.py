"""Searches the ways to train on given devices for those that fit."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxnn.checks import check_int
from jaxnn.training.planning.compiled import as_size
from jaxnn.training.planning.plans import StepPlan, plan


class Choice(NamedTuple):
    """One way to train: its sharding, whether activations are recomputed, its rows, its plan."""

    sharding: str
    remat: bool
    rows: int
    plan: StepPlan


def search_plans(
    make: Callable,
    rows: int,
    *,
    topology: str,
    shardings: Mapping[str, Callable],
    mesh: Mapping[str, int] | None = None,
    share: float = 0.4,
    compiler: bool | None = None,
) -> list[Choice]:
    """The largest batch that fits for each sharding, with and without recomputing activations.

    Rows are halved until the estimate fits. Where the compiler is installed it then has the last
    word on the fastest choice; if it refuses, on the next.

    Args:
      make: (remat, rows) -> (step, train, batch), as `plan` takes them; None where a network has no
        such form.
      rows: of the batch of all devices, the largest that is tried.
      topology: as in `plan`.
      shardings: recipes by name.
      mesh: as in `plan`.
      share: as in `plan`.
      compiler: as in `plan`.

    Returns:
      A list of `Choice`, those that fit first, of these the fastest first. One that does not fit at
      any number of rows has the fewest that were tried.

    Raises:
      ValueError: as `plan`, and if no sharding can divide the rows.

    >>> import jax, jaxnn as nn, optax
    >>> def make(remat, rows):
    ...     net, x = nn.dense(8), jax.ShapeDtypeStruct((rows, 16), "float32")
    ...     y, optimizer = jax.ShapeDtypeStruct((rows, 8), "float32"), optax.sgd(0.1)
    ...     key = jax.random.key(0)
    ...     train = jax.eval_shape(lambda: nn.training.init_train(net, optimizer, key, x))
    ...     return nn.training.step(nn.training.supervised(net, nn.mse), optimizer), train, (x, y)
    >>> recipes = {"data_parallel": nn.training.data_parallel}
    >>> found = nn.training.search_plans(
    ...     make, 64, topology="v5e:2x2", shardings=recipes, compiler=False
    ... )
    >>> [(choice.sharding, choice.rows, choice.plan.fits) for choice in found][:1]
    [('data_parallel', 64, True)]
    """
    check_int(rows, "search_plans: rows")
    given: dict[str, Any] = {"topology": topology, "mesh": mesh, "share": share}
    found, refused = [], []
    for name, recipe in shardings.items():
        for remat in (False, True):
            try:
                found += _largest(make, name, recipe, remat, rows, given)
            except ValueError as error:  # rows or params that the mesh does not divide
                refused.append(error)
    if not found:
        raise refused[-1] if refused else ValueError("search_plans: there is nothing to try.")
    found.sort(key=_rank)
    if compiler is not False:
        found = _confirmed(found, make, shardings, given, compiler)
    return found


def _largest(make, name, recipe, remat, rows, given) -> list[Choice]:
    """The choice with most rows that fits, or that with fewest; none where there is no such net."""

    def tried(count):
        made = make(remat, count)
        if made is None:
            return None
        return Choice(name, remat, count, plan(*made, sharding=recipe, compiler=False, **given))

    choice = tried(rows)
    if choice is None or choice.plan.fits is not False:
        return [choice] if choice else []
    # Memory beside the train is nearly in proportion to rows, so that the search starts close by.
    halves, memory = _halves(rows), choice.plan.memory
    fixed = memory.params + memory.moments + memory.state
    room = max((memory.capacity or 0) - fixed, 1)
    last, choices = len(halves) - 1, {0: choice}
    at = max(math.ceil(math.log2((memory.peak - fixed) / room)), 1)
    while (at := min(max(at, 0), last)) not in choices:
        try:
            choices[at] = tried(halves[at]) or choice
        except ValueError:  # fewer rows than devices
            last = at - 1
        else:
            at += -1 if choices[at].plan.fits is not False else 1
    fit = [each for each in choices.values() if each.plan.fits is not False]
    return [max(fit, key=_rows) if fit else min(choices.values(), key=_rows)]


def _rows(choice: Choice) -> int:
    return choice.rows


def _halves(rows: int) -> list[int]:
    halves = [rows]
    while halves[-1] % 2 == 0:
        halves.append(halves[-1] // 2)
    return halves


def _rank(choice: Choice) -> tuple:
    return choice.plan.fits is False, -(choice.plan.rate or 0.0), choice.plan.memory.peak


def _confirmed(found, make, shardings, given, compiler) -> list[Choice]:
    """The choices, the first of which the compiler has taken."""
    for i, choice in enumerate(found):
        if choice.plan.fits is False:
            break
        made = plan(
            *make(choice.remat, choice.rows),
            sharding=shardings[choice.sharding],
            compiler=compiler,
            **given,
        )
        found[i] = choice._replace(plan=made._replace(fits=made.fits and not made.refusal))
        if made.fits is not False:
            break
    return sorted(found, key=lambda choice: choice.plan.fits is False)


def table(choices: list[Choice]) -> str:
    """Choices as aligned lines, the best first."""
    head = ("sharding", "remat", "rows", "peak", "fits", "bound by", "per second", "how")
    lines: list[tuple[str, ...]] = [head]
    for sharding, remat, rows, made in choices:
        rate = "not known" if made.rate is None else f"{made.rate:,.0f} {made.unit}"
        fits = {True: "yes", False: "no", None: "not known"}[made.fits]
        how = "compiled" if made.compiled else "refused" if made.refusal else "estimated"
        lines.append(
            (
                sharding,
                "yes" if remat else "no",
                f"{rows:,}",
                as_size(made.memory.peak),
                fits,
                made.roofline.bound,
                rate,
                how,
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
