"""The laws, run over every entry of the registry."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import export

import jaxnn as nn
from jaxnn import core
from tests.registry import ENTRIES, HALF

KEY = jax.random.key(0)
# Small entries that every law binds one of, and which are run on optimized programs too.
PLAIN = {"batch_norm of images", "attention"}
# One entry or two of each family. The laws that compile most (3 op by op, 7, 10, 11) are run by
# these, and by all others with `--long`; the recipes of law 10 that are not "fully sharded" by
# these alone.
FAMILIES = {
    "dense", "batch_norm of images", "dropout", "embedding", "spectral_norm", "lstm", "lru masked",
    "conv_lstm", "unroll to the last", "attention", "transformer_block with a memory", "conv",
    "mlp", "rnn_classifier", "unet", "dcgan_generator", "variational", "vector_quantizer",
    "capsnet", "mixture, a tree", "sparse_mixture", "lif", "gcn", "repeat", "rbf_net", "som",
}  # fmt: skip
# Those of law 13, in which one differs from the other in what it does at the start of a document.
PACKED = {"lstm", "lru masked", "attention", "stack", "gpt2 cached", "rnn_classifier"}


def marks(number, name, long):
    """The marks of an entry under a law; one process takes all laws of an entry."""
    yield pytest.mark.xdist_group(name)
    if name in PLAIN:
        yield pytest.mark.ordinary
    if long and name not in (PACKED if number == 13 else FAMILIES):
        yield pytest.mark.long


def law(number, only=lambda entry: True, *, long=False):
    """Runs a test over the entries that the law binds; if long, over all with `--long` alone."""
    names = [
        pytest.param(name, marks=list(marks(number, name, long)))
        for name, entry in ENTRIES.items()
        if number not in entry.exempt and only(entry)
    ]
    return pytest.mark.parametrize("name", names)


@functools.cache
def made(name, dtype=jnp.float32) -> Any:
    """A layer of the registry, its params, state and input; one for all laws, since jit caches."""
    entry = ENTRIES[name]
    net, x = entry.make(), entry.input(jax.random.key(1), dtype)
    params, state = begin(net, KEY, x)
    return net, params, state, x


@functools.partial(jax.jit, static_argnums=0)
def begin(net, key, x):
    """The params and state of a net."""
    return net.init(key, x)


def forward(net, params, state, x, key=None, train=False):
    """(y, state) of a layer, or of a cell from a fresh carry."""
    y, _, state = core.apply_either(
        net, params, state, core.initial_carry(net, params, x), x, key=key, train=train
    )
    return y, state


compiled = jax.jit(forward, static_argnames=("net", "train"))


def run(name, params, state, x, key=KEY, train=False):
    """(y, state) of an entry's net, by one program in evaluation and one in training if that is
    another."""
    return compiled(made(name)[0], params, state, x, key, train and modes(name)[-1])


@functools.cache
def traces(name, train):
    """The jaxpr of a pass, in words, and the shapes of (y, state) that it gives."""
    net, *rest = made(name)
    program = functools.partial(forward, net, train=train)
    jaxpr, shapes = jax.make_jaxpr(program, return_shape=True)(*rest, key=KEY)
    return str(jaxpr), shapes


@functools.cache
def modes(name):
    """False for evaluation, and True for training where that is another program."""
    return (False,) if traces(name, False)[0] == traces(name, True)[0] else (False, True)


@functools.partial(jax.jit, static_argnums=0)
def advance(net, params, state, carry, x):
    """(y, carry) after a chunk."""
    return core.apply_either(net, params, state, carry, x)[:2]


def is_cell(entry):
    return isinstance(entry.make(), nn.Cell)


def is_layer(entry):
    return not is_cell(entry)


@law(1)
def test_init_depends_on_shapes_alone(name):
    net, params, state, x = made(name)
    array, spec = (
        str(jax.make_jaxpr(lambda key, x=x: net.init(key, x))(KEY)) for x in (x, core.spec(x))
    )
    if array != spec:  # else the program is the same
        from_spec = jax.jit(lambda key: net.init(key, core.spec(x)))(KEY)
        chex.assert_trees_all_close((params, state), from_spec, rtol=1e-6, atol=1e-7)
    other = jax.tree.map(lambda leaf: leaf[::-1], x)
    chex.assert_trees_all_equal((params, state), begin(net, KEY, other))


@law(2)
@pytest.mark.parametrize("train", [False, True])
def test_state_keeps_its_shapes(name, train):
    _, _, state, _ = made(name)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, traces(name, train)[1][1])


@law(3, long=True)
def test_jit_equals_eager(name):
    net, params, state, x = made(name)
    train = modes(name)[-1]
    eager = forward(net, params, state, x, KEY, train)
    jitted = run(name, params, state, x, train=train)
    chex.assert_trees_all_close(eager, jitted, rtol=1e-5, atol=1e-6)


@law(3, is_layer)
def test_transforms_accept_the_net_itself(name):
    net, params, state, x = made(name)
    y, _ = run(name, params, state, x)
    if core.is_stateless(state):
        call = net
        assert jax.eval_shape(jax.jit(net), params, x) == core.spec(y)
    else:
        call = lambda params, x: net.apply(params, state, x)[0]  # noqa: E731
    twice = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), x)
    mapped = jax.jit(jax.vmap(jax.checkpoint(call), in_axes=(None, 0)))(params, twice)
    chex.assert_trees_all_close(mapped, jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), y),
                                rtol=1e-5, atol=1e-6)  # fmt: skip

    def total(params):
        return sum(leaf.sum() for leaf in jax.tree.leaves(call(params, x)))

    # What the gradient is, law 6 says.
    assert jax.eval_shape(jax.grad(total), params) == core.spec(params)


@law(4)
def test_evaluation_ignores_the_key(name):
    net, params, state, x = made(name)
    first = run(name, params, state, x)
    chex.assert_trees_all_equal(first, run(name, params, state, x))
    chex.assert_trees_all_equal(first, run(name, params, state, x, jax.random.key(7)))
    assert jax.eval_shape(lambda: forward(net, params, state, x)) == core.spec(first)


@law(5)
def test_rows_do_not_see_each_other(name):
    _, params, state, x = made(name)
    axis = ENTRIES[name].rows
    first = jax.tree.map(lambda leaf: leaf.at[0].set(leaf[1]), x)
    y, _ = jax.device_get(run(name, params, state, x))
    z, _ = jax.device_get(run(name, params, state, first))

    def rows(tree, start, stop):
        return jax.tree.map(lambda leaf: np.moveaxis(leaf, axis, 0)[start:stop], tree)

    chex.assert_trees_all_close(rows(y, 1, None), rows(z, 1, None), rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(rows(z, 0, 1), rows(y, 1, 2), rtol=1e-5, atol=1e-6)


def objective(net, params, state, x, train):
    """(a number, state) of a pass, on which every output weighs."""
    y, after = forward(net, params, state, x, KEY, train)
    terms = [jnp.sum(jnp.sin(leaf + jnp.arange(leaf.size).reshape(leaf.shape)))
             for leaf in jax.tree.leaves(y) if core.floating(leaf)]  # fmt: skip
    return sum(terms, jnp.zeros(())), after


@functools.cache
def slopes(name, train):
    """(gradient, along, numeric, state) in float64: laws 6 and 10 compile one program for both.

    gradient: of the params, and of x where it is floating, as a tuple.
    numeric: the slope along the direction `along`, by finite differences.
    """
    net, params, state, x = made(name, jnp.float64)
    params = core.cast(params, jnp.float64)  # float32 for tokens, too coarse
    learned = (params, x) if all(map(core.floating, jax.tree.leaves(x))) else (params,)

    def value(learned, state, x):
        params, x = (*learned, x)[:2]
        return objective(net, params, state, x, train)

    @jax.jit
    def derivatives(learned, along, state, x):
        def moved(step):
            there = jax.tree.map(lambda leaf, by: leaf + step * by, learned, along)
            return value(there, state, x)[0]

        low, high = jax.lax.map(moved, jnp.array([-1e-6, 1e-6]))
        gradient, after = jax.grad(value, has_aux=True)(learned, state, x)
        return gradient, (high - low) / 2e-6, after

    rng = np.random.default_rng(0)
    along = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), learned)
    gradient, numeric, after = jax.device_get(derivatives(learned, along, state, x))
    return gradient, along, numeric, after


@law(6)
@pytest.mark.parametrize("train", [False, True])
def test_gradients_are_those_of_finite_differences(name, train):
    if train not in modes(name) or (modes(name)[-1] != train and name not in FAMILIES):
        return  # the same program; or evaluation, of a net whose layers have it themselves
    with jax.enable_x64(True):
        gradient, along, numeric, _ = slopes(name, train)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient[0]):
        assert np.isfinite(leaf).all(), jax.tree_util.keystr(path)
        assert np.any(leaf != 0), f"no gradient reaches {jax.tree_util.keystr(path)}"
    dots = jax.tree.map(np.vdot, gradient, along)
    np.testing.assert_allclose(sum(jax.tree.leaves(dots)), numeric, rtol=1e-5, atol=1e-7)


@law(7, long=True)
def test_ensemble_is_a_loop_over_members(name):
    net, _, _, x = made(name)
    params, state, y, after = gathered(net, KEY, x)
    for i in range(2):
        member = begin(net, jax.random.fold_in(KEY, i), x)
        held = jax.tree.map(lambda leaf, i=i: leaf[i], (params, state))
        chex.assert_trees_all_close(member, held, rtol=1e-5, atol=1e-6)
        alone = run(name, member[0], member[1], x, jax.random.fold_in(KEY, i), True)
        mine = jax.tree.map(lambda leaf, i=i: leaf[i], (y, after))
        chex.assert_trees_all_close(alone, mine, **rounding(name))


@law(7, long=True)
def test_repeat_is_its_slices_one_after_the_other(name):
    net, params, state, x = made(name)
    if core.spec(x) != core.spec(run(name, params, state, x)[0]):
        with pytest.raises(ValueError, match="takes a layer whose output equals its input"):
            jax.eval_shape(nn.repeat(net, 2).init, KEY, x)
        return
    params, state, y, after = repeated(net, KEY, x)
    for i in range(2):
        held = jax.tree.map(lambda leaf, i=i: leaf[i], (params, state))
        x, state_i = run(name, held[0], held[1], x, jax.random.fold_in(KEY, i), True)
        mine = jax.tree.map(lambda leaf, i=i: leaf[i], after)
        chex.assert_trees_all_close(state_i, mine, **rounding(name))
    chex.assert_trees_all_close(y, x, **rounding(name))


def rounding(name):
    """What two programs of one net may differ by: XLA rounds to half precision where it likes."""
    return (
        {"rtol": 1e-2, "atol": 1e-2}
        if ENTRIES[name].exempt is HALF
        else {"rtol": 2e-5, "atol": 1e-5}
    )


@functools.partial(jax.jit, static_argnums=0)
def repeated(net, key, x):
    """Params, state, output and state after of a net of two such nets in turn."""
    return whole(nn.repeat(net, 2), key, x)


@functools.partial(jax.jit, static_argnums=0)
def gathered(net, key, x):
    """Params, state, output and state after of a net of two such nets side by side."""
    return whole(nn.ensemble(net, 2), key, x)


def whole(net, key, x):
    """A net from its start through one pass in training."""
    params, state = net.init(key, x)
    return params, state, *forward(net, params, state, x, key, True)


@law(8, is_cell)
@pytest.mark.parametrize("chunks", [[1] * 6, [4, 1, 1]])
def test_any_split_of_a_sequence_gives_the_same(name, chunks):
    net, params, state, x = made(name)
    axis = ENTRIES[name].rows + 1
    whole, _ = advance(net, params, state, net.carry(params, x), x)
    carry, parts, start = net.carry(params, x), [], 0
    for length in chunks:
        chunk = jax.tree.map(lambda leaf, a=start, b=start + length: leaf[:, a:b], x)
        y, carry = advance(net, params, state, carry, chunk)
        parts.append(y)
        start += length
    joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=axis), *parts)
    tolerance = 1e-5 if 6 not in ENTRIES[name].exempt else 2e-2
    chex.assert_trees_all_close(whole, joined, rtol=tolerance, atol=tolerance)


@law(8, is_cell)
def test_carry_depends_on_shapes_alone_and_keeps_them(name):
    net, params, state, x = made(name)
    carry = net.carry(params, x)
    chex.assert_trees_all_equal(carry, net.carry(params, core.spec(x)))
    chex.assert_trees_all_equal(carry, jax.jit(net.carry)(params, x))
    _, after, _ = jax.eval_shape(lambda: core.apply_either(net, params, state, carry, x))
    chex.assert_trees_all_equal_shapes_and_dtypes(carry, after)


@law(9)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.float64])
def test_the_dtype_that_comes_in_goes_out(name, dtype):
    with jax.enable_x64(dtype == jnp.float64):
        entry = ENTRIES[name]
        net, x = entry.make(), entry.input(jax.random.key(1), dtype)

        def pair():
            params, state = net.init(KEY, x)
            return params, forward(net, params, state, x, KEY, True)[0]

        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            params, y = jax.eval_shape(pair)
        wanted = jnp.dtype(dtype if any(map(core.floating, jax.tree.leaves(x))) else jnp.float32)
        assert {leaf.dtype for leaf in jax.tree.leaves(y) if core.floating(leaf)} == {wanted}
        kept = jnp.promote_types(wanted, jnp.float32)
        held = {leaf.dtype for leaf in jax.tree.leaves(params) if core.floating(leaf)}
        assert held <= {kept}


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
    mesh = jax.make_mesh((8,), ("data",))
    return {
        "data parallel": lambda: recipes.data_parallel(mesh),
        "fully sharded": lambda: recipes.fully_sharded(mesh, smallest=1),
        "tensor parallel": lambda: recipes.tensor_parallel(mesh, "data", {"*": last_of_eight}),
        "expert parallel": lambda: recipes.expert_parallel(mesh, "data"),
    }[title]()


RECIPES = (
    "fully sharded",
    "data parallel",
    "tensor parallel",
    "expert parallel",
    "fully sharded and sequence parallel",
)


def binds(title, params, x):
    """Whether a recipe has something to divide in an entry's params and input."""
    shapes = [leaf.shape for leaf in jax.tree.leaves(params)]
    if title == "expert parallel":
        stacks = [leaf.shape[0] for path, leaf in jax.tree_util.tree_leaves_with_path(params)
                  if "'experts'" in jax.tree_util.keystr(path[:1])]  # fmt: skip
        return bool(stacks) and all(n % 8 == 0 for n in stacks)
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
            *[pytest.mark.long] * (recipe != "fully sharded" and name not in PLAIN),
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


def is_sequence(x):
    """Sequences are of 6 steps in the registry, and nothing else has a second axis of 6."""
    return any(leaf.shape[1:2] == (6,) for leaf in jax.tree.leaves(x))


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


@law(12)
def test_a_train_step_is_traced_once(name):
    net, params, state, x = made(name)
    traces = []

    def loss(params, state, x, *, key, train):
        traces.append(1)
        y, state = forward(net, params, state, x, key, train)
        total = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(y) if core.floating(leaf))
        return total, (state, {})

    optimizer = optax.sgd(1e-3, momentum=0.9)
    step = nn.training.step(loss, optimizer)
    opt_state = jax.eval_shape(optimizer.init, params)
    begun = nn.training.TrainState(params, state, opt_state, jnp.zeros((), jnp.int32), KEY)
    train = core.spec(begun)
    for _ in range(3):
        train, _ = jax.eval_shape(step, train, core.spec(x))
    assert len(traces) == 1


# Documents in rows of 6 steps: with padding before, within and after them, one that fills its row,
# neighbors of one number with others between, and a row without any.
SEGMENTS = np.array(
    [[1, 1, 1, 2, 2, 0], [3, 3, 3, 3, 3, 3], [1, 2, 2, 3, 3, 3], [2, 2, 0, 2, 1, 1],
     [0, 1, 1, 1, 2, 3], [5, 5, 4, 4, 5, 5], [1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0]], np.int32
)  # fmt: skip


def documents():
    """(row, its steps) of each document in SEGMENTS."""
    found = []
    for row, segments in enumerate(SEGMENTS):
        before = 0
        for step in np.flatnonzero(segments):
            if segments[step] != before:
                found.append((row, []))
            found[-1][1].append(step)
            before = segments[step]
    return found


def apart(leaf):
    """Packed rows as one row for each document, [documents, 6, ...]; of others, the rows."""
    leaf = np.asarray(leaf)
    rows = leaf[[row for row, _ in documents()]]
    if leaf.shape[1:2] != (6,):
        return rows
    rows = np.zeros_like(rows)
    for i, (row, steps) in enumerate(documents()):
        rows[i, : len(steps)] = leaf[row, steps]
    return rows


def steps_of(y):
    """What a net gives for each step."""
    return [leaf for leaf in jax.tree.leaves(y) if core.floating(leaf) and leaf.shape[1:2] == (6,)]


def packed(name):
    """The input of an entry as packed rows; None if it takes no mask, or if it refuses them."""
    net, params, state, x = made(name)
    if not is_sequence(x):
        return None
    pack, look = ENTRIES[name].pack, lambda x: forward(net, params, state, x)
    try:
        jax.eval_shape(look, pack(x, SEGMENTS > 0))
    except Exception:
        return None
    x = pack(x, jnp.asarray(SEGMENTS))
    try:
        jax.eval_shape(look, x)
    except (TypeError, ValueError) as error:
        if "document" not in str(error):
            raise
        return None
    return x


@law(13, long=True)
def test_a_packed_row_equals_its_documents_apart(name):
    _, params, state, x = made(name)
    together = packed(name)
    if together is None:
        return
    lengths = np.array([len(steps) for _, steps in documents()])
    mask = np.arange(6) < lengths[:, None]
    alone = ENTRIES[name].pack(jax.tree.map(apart, x), mask)
    y, z = (steps_of(run(name, params, state, each)[0]) for each in (together, alone))
    assert y
    for ours, theirs in zip(y, z, strict=True):
        wide = mask.reshape(*mask.shape, *(1,) * (ours.ndim - 2))
        assert_close(name, apart(ours), np.where(wide, theirs, 0))


@law(13, is_cell, long=True)
def test_any_split_of_packed_rows_gives_the_same(name):
    net, params, state, _ = made(name)
    x = packed(name)
    if x is None or 8 in ENTRIES[name].exempt:
        return
    whole, _ = advance(net, params, state, net.carry(params, x), x)
    carry, parts = net.carry(params, x), []
    for start, end in ((0, 2), (2, 3), (3, 6)):
        chunk = jax.tree.map(lambda leaf, a=start, b=end: leaf[:, a:b], x)
        y, carry = advance(net, params, state, carry, chunk)
        parts.append(y)
    joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=1), *parts)
    for ours, theirs in zip(steps_of(whole), steps_of(joined), strict=True):
        assert_close(name, ours, theirs)


def assert_close(name, ours, theirs):
    half = ENTRIES[name].exempt is HALF
    chex.assert_trees_all_close(
        ours, theirs, **(rounding(name) if half else {"rtol": 1e-5, "atol": 1e-5})
    )
