"""Laws 10 and 11: devices and platforms change no number."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from jax import export

import jaxnn as nn
from jaxnn import core
from tests.laws import (
    KEY,
    PLAIN,
    forward,
    is_sequence,
    law,
    made,
    marks,
    modes,
    objective,
    rounding,
    run,
    slopes,
)
from tests.registry import ENTRIES, HALF


def last_of_eight(path, shape):
    """The last axis of a leaf that eight devices divide."""
    axes = [i for i, n in enumerate(shape) if n and n % 8 == 0]
    return axes[-1] if axes else None


def recipe_of(title):
    """A recipe over eight devices, whose mesh has the Explicit axes that are JAX's default."""
    recipes = nn.training
    if title == "fully sharded and sequence parallel":
        mesh = jax.make_mesh((4, 2), ("data", "sequence"))
        return recipes.fully_sharded(mesh, smallest=1) * recipes.sequence_parallel(mesh)
    if title == "data and expert parallel":
        mesh = jax.make_mesh((2, 4), ("data", "expert"))
        return recipes.data_parallel(mesh) * recipes.expert_parallel(mesh)
    mesh = jax.make_mesh((8,), ("data",))
    return {
        "data parallel": lambda: recipes.data_parallel(mesh),
        "fully sharded": lambda: recipes.fully_sharded(mesh, smallest=1),
        "tensor parallel": lambda: recipes.tensor_parallel(mesh, "data", {"*": last_of_eight}),
    }[title]()


RECIPES = (
    "fully sharded",
    "data parallel",
    "tensor parallel",
    "data and expert parallel",
    "fully sharded and sequence parallel",
)


def binds(title, params, x):
    """Whether a recipe has something to divide in an entry's params and input."""
    shapes = [leaf.shape for leaf in jax.tree.leaves(params)]
    if title == "data and expert parallel":
        stacks = [leaf.shape[0] for path, leaf in jax.tree_util.tree_leaves_with_path(params)
                  if "'experts'" in jax.tree_util.keystr(path[:1])]  # fmt: skip
        return bool(stacks) and all(n % 4 == 0 for n in stacks)
    if "sequence" in title:
        return all(leaf.ndim < 2 or leaf.shape[1] % 2 == 0 for leaf in jax.tree.leaves(x))
    parted = any(n and n % 8 == 0 for shape in shapes for n in shape)
    return parted or title == "data parallel"


RECIPE_CASES = [
    pytest.param(
        name,
        recipe,
        marks=[
            *marks(10, name, True),
            *[pytest.mark.long]
            * (
                recipe != "fully sharded"
                and name not in PLAIN
                and (name, recipe) != ("sparse_mixture", RECIPES[3])
            ),
        ],
    )
    for name, entry in ENTRIES.items()
    if 10 not in entry.exempt
    for recipe in RECIPES
]


@pytest.mark.parametrize(("name", "recipe"), RECIPE_CASES)
def test_one_device_equals_eight(name, recipe):
    # float64, in which the order of a sum cannot hide a fault of 1e-6.
    with jax.enable_x64(True):
        net, params, state, x = made(name, jnp.float64)
        params = core.cast(params, jnp.float64)
        if not binds(recipe, params, x):
            pytest.skip("nothing to divide")
        train = modes(name)[-1]
        gradient, *_, after = slopes(name, train)
        alone = jax.tree.map(lambda leaf, slope: leaf - 0.1 * slope, params, gradient[0]), after

        def loss(params, state, batch, **_):
            value, state = objective(net, params, state, batch, train)
            return value, (state, {})

        sharding, optimizer = recipe_of(recipe), optax.sgd(0.1)
        step = nn.training.step(loss, optimizer, sharding)
        begun = nn.training.TrainState(
            params, state, optimizer.init(params), jnp.zeros((), jnp.int32), KEY
        )
        laid = nn.training.shardings(sharding, begun)
        copied = jax.tree.map(jnp.copy, begun)  # the step donates it
        together, _ = step(jax.device_put(copied, laid), x)
        chex.assert_trees_all_close(
            jax.device_get((together.params, together.state)), alone, **exact(name)
        )


def exact(name):
    """What a step on eight devices may differ by from one."""
    return rounding(name) if ENTRIES[name].exempt is HALF else {"rtol": 1e-6, "atol": 1e-6}


LONGEST = {"attention cached in a ring": 4}  # steps that it takes at once; the others take all 6


def shapes(x, exempt, longest):
    """x with its rows, and with the steps of a sequence, as numbers to be said later."""
    if "rows" in exempt:
        return core.spec(x)
    scope = export.SymbolicScope(("t >= 2", f"t <= {longest}") if longest else ())
    rows, steps, nodes, edges = export.symbolic_shape("b, t, n, e", scope=scope)

    def spec(leaf, *lead):
        return jax.ShapeDtypeStruct((*lead, *leaf.shape[len(lead) :]), leaf.dtype)

    if isinstance(x, nn.graph.Graph):
        return nn.graph.Graph(spec(x.nodes, nodes), spec(x.edges, edges), spec(x.senders, edges),
                        spec(x.receivers, edges), (), spec(x.sizes, rows))  # fmt: skip
    timed = lambda leaf: leaf.shape[1:2] == (longest,)  # noqa: E731
    return jax.tree.map(lambda leaf: spec(leaf, rows, *[steps] * timed(leaf)), x)


@law(11, long=True)
def test_one_export_serves_every_platform_and_number_of_rows_and_steps(name):
    net, params, state, x = made(name)
    exempt = ENTRIES[name].exempt
    longest = 0
    if is_sequence(x) and "steps" not in exempt:
        longest = LONGEST.get(name, 6)
        x = jax.tree.map(lambda leaf: leaf[:, :longest] if leaf.shape[1:2] == (6,) else leaf, x)
    program = jax.jit(lambda params, state, x: forward(net, params, state, x))
    exported = export.export(program, platforms=("cpu", "cuda", "tpu"))(
        params, state, shapes(x, exempt, longest)
    )
    reloaded = export.deserialize(exported.serialize())
    flat = reloaded.call(params, state, x)
    chex.assert_trees_all_close(run(name, params, state, x), flat, **rounding(name))
