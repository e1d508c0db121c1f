import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxnn.layers.recurrent.cells import elman, gru, mgu, side_by_side
from jaxnn.layers.recurrent.linear import lru, min_gru, min_lstm
from jaxnn.layers.recurrent.lstm import lstm
from jaxnn.sequences.masks import length_mask
from jaxnn.sequences.unroll import bidirectional, stack, unroll
from tests import golden

pytestmark = pytest.mark.ordinary

X = jax.random.normal(jax.random.key(1), (3, 5, 4))
CELLS = [elman, lstm, gru, mgu, min_gru, min_lstm, lru]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def loop(step, h, x):
    """y of a NumPy step over x, in float64."""
    y = []
    for t in range(x.shape[1]):
        h = step(h, np.asarray(x[:, t], float))
        y.append(h)
    return np.stack(y, axis=1)


def made(cell, key):
    """An unrolled cell's y, and its params as NumPy, none of them zero."""
    params, _ = cell.init(key, X)
    params = jax.tree.map(lambda p: p + 0.1 * jnp.sin(jnp.arange(p.size)).reshape(p.shape), params)
    return unroll(cell)(params, X), jax.tree.map(lambda p: np.asarray(p, float), params)


# Values


def test_elman_is_its_equation(key):
    y, p = made(elman(6, activation=jnp.sin), key)
    by_hand = loop(lambda h, x: np.sin(x @ p["w"] + h @ p["u"] + p["b"]), np.zeros((3, 6)), X)
    np.testing.assert_allclose(y, by_hand, atol=1e-5)


def test_gru_resets_after_the_matmul_or_before(key):
    def step(h, x):
        (x_r, x_z, x_n) = np.split(x @ p["w"] + p["b"], 3, axis=-1)
        u_r, u_z, u_n = np.split(p["u"], 3, axis=-1)
        r, z = sigmoid(x_r + h @ u_r), sigmoid(x_z + h @ u_z)
        n = np.tanh(x_n + (r * (h @ u_n + p["b_h"]) if "b_h" in p else (r * h) @ u_n))
        return (1 - z) * n + z * h

    after, p = made(gru(6), key)
    np.testing.assert_allclose(after, loop(step, np.zeros((3, 6)), X), atol=1e-5)
    before, p = made(gru(6, reset_after=False), key)
    np.testing.assert_allclose(before, loop(step, np.zeros((3, 6)), X), atol=1e-5)
    assert np.abs(after - before).max() > 0.01


def test_mgu_is_its_equations(key):
    def step(h, x):
        (x_f, x_n), (u_f, u_n) = (np.split(v, 2, -1) for v in (x @ p["w"] + p["b"], p["u"]))
        f = sigmoid(x_f + h @ u_f)
        return (1 - f) * h + f * np.tanh(x_n + (f * h) @ u_n)

    y, p = made(mgu(6), key)
    np.testing.assert_allclose(y, loop(step, np.zeros((3, 6)), X), atol=1e-5)


def test_every_gate_starts_orthogonal(key):
    for cell, n in ((elman(8), 1), (lstm(8), 4), (gru(8), 3), (mgu(8), 2)):
        u = cell.init(key, X)[0]["u"]
        assert u.shape == (8, 8 * n)
        for gate in jnp.split(u, n, axis=-1):
            np.testing.assert_allclose(gate.T @ gate, np.eye(8), atol=1e-5)
    first, second = jnp.split(u, 2, axis=-1)
    assert jnp.abs(first - second).max() > 0.1


def test_initialisers_see_one_gate_at_a_time(key):
    shapes = []

    def spy(key, shape, dtype):
        shapes.append(shape)
        return jnp.ones(shape, dtype)

    params, _ = gru(8, w_init=spy, u_init=spy, b_init=spy).init(key, X)
    assert shapes == [(4, 8)] * 3 + [(8, 8)] * 3 + [(8,)] * 4
    assert all((leaf == 1).all() for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("make", CELLS)
@pytest.mark.first(2)
def test_half_precision_comes_out_as_it_went_in(make, key):
    net = unroll(make(8))
    x = X.astype(jnp.bfloat16)
    params, _ = net.init(key, x)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
    y = net(params, x)
    assert y.dtype == jnp.bfloat16
    exact = net(params, x.astype(jnp.float32))
    np.testing.assert_allclose(y.astype(jnp.float32), exact, atol=0.05)


@pytest.mark.parametrize("make", [elman, lstm, gru, mgu])
def test_the_carry_has_the_dtype_of_x(make, key):
    x = X.astype(jnp.bfloat16)
    params, _ = make(8).init(key, x)
    carry = make(8).carry(params, x)
    assert {leaf.dtype for leaf in jax.tree.leaves(carry)} == {jnp.dtype(jnp.bfloat16)}


# Bad input


@pytest.mark.parametrize("make", CELLS)
def test_what_is_no_sequence_of_floats_is_refused(make, key):
    cell, name = make(8), make.__name__
    with pytest.raises(TypeError, match=f"{name} takes floating features, got int32"):
        cell.init(key, jnp.ones((3, 5, 4), jnp.int32))
    with pytest.raises(ValueError, match=rf"{name} takes \[batch, time, features\].*x\[:, None\]"):
        cell.init(key, X[:, 0])
    params, _ = cell.init(key, X)
    with pytest.raises(ValueError, match=rf"{name} takes \[batch, time, features\]"):
        cell.carry(params, X[:, 0])
    with pytest.raises(ValueError, match=rf"{name} takes \[batch, time, features\]"):
        cell.apply(params, (), (cell.carry(params, X), X[:, 0]))


@pytest.mark.parametrize("make", CELLS)
def test_other_features_and_other_params_are_refused(make, key):
    cell, name = make(8), make.__name__
    params, _ = cell.init(key, X)
    with pytest.raises(ValueError, match=f"{name} has params for 4 features.*feed 4 features"):
        unroll(cell)(params, X[..., :2])
    with pytest.raises(ValueError, match=f"{name} takes params .*another net"):
        unroll(cell)({"other": X}, X)


@pytest.mark.parametrize("make", CELLS)
def test_a_carry_of_another_batch_is_refused(make, key):
    cell = make(8)
    params, _ = cell.init(key, X)
    with pytest.raises(ValueError, match=f"{make.__name__} takes the carry of cell.carry"):
        cell.apply(params, (), (cell.carry(params, X[:1]), X))


def test_a_carry_of_another_dtype_is_refused(key):
    params, _ = gru(8).init(key, X)
    carry = gru(8).carry(params, X.astype(jnp.float16))
    with pytest.raises(ValueError, match="gru takes the carry .*float32.3,8. against float16.3,8."):
        gru(8).apply(params, (), (carry, X))


@pytest.mark.parametrize("make", CELLS)
@pytest.mark.parametrize("width", [0, -1, 2.5, True, "8"])
def test_a_width_that_is_no_count_is_refused(make, width):
    with pytest.raises(ValueError, match=f"{make.__name__}: width must be a whole number"):
        make(width)


# Against PyTorch


def ours(name):
    """What tests.golden.cells records, from the same inputs: y, and carries by layer and way."""
    kind, *flags = name.split("_")
    ways = ("f", "b") if "both" in flags else ("f",)

    def run(inputs):
        params, cells = [], []
        for layer in range(2 if "deep" in flags else 1):
            own = {way: {} for way in ways}
            for key, value in inputs.items():
                if key.startswith(str(layer)):
                    own[key[1]][key.split(".")[1]] = value
            out, gates = own["f"]["u"].shape
            if kind == "lstm":
                cell = lstm(gates // 4, projection=out if "projected" in flags else None)
            else:
                cell = {"elman": elman, "gru": gru}[kind](out)
            both = len(ways) == 2
            cells.append(bidirectional(cell) if both else cell)
            params.append({"forward": own["f"], "backward": own["b"]} if both else own["f"])
        net, params, x = stack(*cells), tuple(params), inputs["x"]
        if "packed" in flags:
            x = x, length_mask(inputs["lengths"], x.shape[1])
        (carry, y), _ = net.apply(params, (), (net.carry(params, x), x))
        carries = [
            each[way] if len(ways) == 2 else each
            for each in carry
            for way in ("forward", "backward")[: len(ways)]
        ]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *carries)
        return (y[0] if "packed" in flags else y), stacked

    return run


def pieces_of_three():
    """Pieces, and their weights: [2, 3], [2, 4], [2, 1] and [3, 5], [4, 5], [1, 5]."""
    keys = jax.random.split(jax.random.key(2), 6)
    widths = 3, 4, 1
    pieces = tuple(jax.random.normal(k, (2, n)) for k, n in zip(keys, widths, strict=False))
    weights = tuple(jax.random.normal(k, (n, 5)) for k, n in zip(keys[3:], widths, strict=True))
    return pieces, weights


def as_one(pieces, weights):
    return side_by_side(pieces, tuple(w.T for w in weights), jnp.concatenate(weights))


def as_three(pieces, weights):
    return sum(x @ w for x, w in zip(pieces, weights, strict=True))


def test_pieces_side_by_side_have_every_derivative_of_their_products():
    with jax.enable_x64(True):
        at = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), pieces_of_three())
        np.testing.assert_allclose(as_one(*at), as_three(*at), rtol=1e-12)
        check_grads(as_one, at, order=2, modes=("fwd", "rev"))


def test_a_piece_that_nothing_is_learned_from_takes_no_product():
    pieces, weights = pieces_of_three()

    def products(count):
        def loss(learned, weights):
            return as_one((*learned, *pieces[count:]), weights).sum()

        text = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(pieces[:count], weights).as_text()
        return text.count("dot_general")

    assert products(2) == products(1) + 1


@pytest.mark.parametrize("name", golden.names("cells"))
def test_golden(name):
    golden.check(golden.load("cells", name), ours(name))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(["elman", "lstm", "lstm_projected", "gru"]),
    flags=st.sets(st.sampled_from(["deep", "both", "packed"])),
    sizes=st.tuples(*[st.integers(1, 6)] * 4),
)
def test_any_configuration_computes_what_torch_does(kind, flags, sizes):
    pytest.importorskip("torch", reason="pip install -e '.[peers]'")
    from tests.golden import cells, make

    rows, steps, features, width = sizes
    width += "projected" in kind  # a projection of torch is narrower
    name = "_".join([kind, *sorted(flags)])
    inputs = cells.inputs(name, rows, steps, features, width, projected=max(1, width // 2))
    recorded = make.record(cells.forward(name), inputs)
    parts = {"in": {}, "out": {}, "cot": {}, "grad": {}}
    for key, value in recorded.items():
        part, title = key.split("/")
        parts[part][title] = value
    outputs, cotangents = (list(parts[part].values()) for part in ("out", "cot"))
    golden.check(golden.Case(parts["in"], outputs, cotangents, parts["grad"]), ours(name))


@pytest.mark.parametrize("make", [elman, gru, mgu, lstm, min_gru, min_lstm])
def test_params_of_a_cell_of_another_width_are_refused(make, key):
    x = jnp.ones((2, 4, 3))
    params, _ = unroll(make(6)).init(key, x)
    with pytest.raises(ValueError, match="columns, got .* a cell of another width"):
        unroll(make(5))(params, x)
