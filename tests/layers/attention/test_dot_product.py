# pyright: reportCallIssue=false
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn.layers.attention import dot_product
from jaxnn.layers.attention.dot_product import attend, by_head, check_implementation
from jaxnn.layers.attention.masks import KeyPositions, MaskConfig
from jaxnn.layers.attention.positions import alibi_slopes
from jaxnn.layers.noise import dropout

pytestmark = pytest.mark.ordinary

STEPS = jnp.arange(11, dtype=jnp.int32)[None]
EACH = jax.random.bernoulli(jax.random.key(3), 0.5, (2, 11, 11))
RULES = {
    "plain": MaskConfig(),
    "causal": MaskConfig(causal=True),
    "window": MaskConfig(window=3),
    "causal window with alibi": MaskConfig(causal=True, window=4, alibi=True),
}
SEEN = {
    "all seen": None,
    "padded": jnp.arange(11)[None] < jnp.array([[7], [11]]),
    "masked, one row blind": EACH.at[0].set(False),
}


def draw(dtype=jnp.float32, time=11, keys=11, shared=2):
    shapes = (2, time, 4, 8), (2, keys, shared, 8), (2, keys, shared, 8)
    return [
        jax.random.normal(jax.random.fold_in(jax.random.key(0), i), shape, dtype)
        for i, shape in enumerate(shapes)
    ]


def sight(time=11, keys=11, seen=None):
    return KeyPositions(STEPS[:, :time], STEPS[:, :keys], seen)


def by_hand(q, k, v, sight, rule):
    """The equation in NumPy, one query at a time."""
    q, k, v = (np.asarray(each, np.float64) for each in (q, k, v))
    y = np.zeros(q.shape)
    for b, t, h in np.ndindex(q.shape[:3]):
        mine = h // (q.shape[2] // k.shape[2])
        logits = k[b, :, mine] @ q[b, t, h] / np.sqrt(q.shape[-1])
        far = np.asarray(sight.keys[0]) - np.asarray(sight.queries[0])[t]
        see = np.ones(len(far), bool)
        if rule.alibi:
            logits -= alibi_slopes(q.shape[2])[h] * np.abs(far)
        if rule.causal:
            see &= far <= 0
        if rule.window:
            see &= np.abs(far) < rule.window
        if sight.seen is not None:
            see &= np.asarray(sight.seen[b] if sight.seen.ndim == 2 else sight.seen[b, t])
        if see.any():
            weights = np.exp(logits - logits[see].max()) * see
            y[b, t, h] = weights / weights.sum() @ v[b, :, mine]
    return y


def forms(rule):
    """Each way to compute it, as a function of q, k, v and the sight."""
    own = partial(by_head, rule=rule, key=None)
    return {
        "attend": lambda *a: attend(*a, rule),
        "aligned": lambda *a: attend(*a, rule, aligned=True),
        "library": lambda *a: dot_product._library(*a, rule=rule, aligned=False),
        "at once": own,
        "one by one": partial(own, one_by_one=True),
        "in blocks": partial(own, aligned=True),
        "one by one in blocks": partial(own, aligned=True, one_by_one=True),
    }


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(dot_product, "BLOCK", 4)
    monkeypatch.setattr(dot_product, "LONG", 100)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("name", RULES)
def test_every_form_is_the_equation(name, seen):
    rule, inputs, where = RULES[name], draw(), sight(seen=SEEN[seen])
    functions = forms(rule)
    ys = jax.jit(lambda *a: [function(*a) for function in functions.values()])(*inputs, where)
    wanted = by_hand(*inputs, where, rule)
    for form, y in zip(functions, ys, strict=True):
        assert np.abs(y - wanted).max() < 2e-6, form


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("plain", "all seen"),
        ("causal", "padded"),
        ("window", "padded"),
        ("causal window with alibi", "masked, one row blind"),
    ],
)
def test_every_form_has_the_same_gradients(name, seen):
    rule, inputs, where = RULES[name], draw(), sight(seen=SEEN[seen])
    functions = {form: forms(rule)[form] for form in ("library", "at once", "aligned")}

    def objective(inputs, function):
        y = function(*inputs, where)
        return jnp.sum(jnp.sin(y + jnp.arange(y.size).reshape(y.shape)))

    gradients = jax.jit(
        lambda inputs: [jax.grad(objective)(inputs, each) for each in functions.values()]
    )(inputs)
    chex.assert_tree_all_finite(gradients)
    for gradient in gradients[1:]:
        chex.assert_trees_all_close(gradient, gradients[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shared", [1, 4])
def test_queries_and_keys_may_differ_in_number(shared):
    inputs = draw(time=3, shared=shared)
    y = jax.jit(attend)(*inputs, sight(3))
    assert np.allclose(y, by_hand(*inputs, sight(3), MaskConfig()), atol=1e-5)


def test_float64_is_exact():
    with jax.enable_x64(True):
        inputs, rule = draw(jnp.float64), MaskConfig(causal=True, alibi=True)
        y = jax.jit(partial(attend, rule=rule, aligned=True))(*inputs, sight())
        assert np.abs(y - by_hand(*inputs, sight(), rule)).max() < 1e-14


@pytest.mark.parametrize("dtype", [jnp.bfloat16])  # XLA:CPU has no float16 product for it
def test_half_precision_goes_through_every_form_under_strict_promotion(dtype):
    inputs, rule, where = draw(dtype), RULES["causal window with alibi"], sight(seen=EACH)
    functions = forms(rule).values()
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        ys = jax.jit(lambda *a: [function(*a) for function in functions])(*inputs, where)
    for y in ys:
        assert y.dtype == dtype
        assert np.abs(np.asarray(y, np.float64) - by_hand(*inputs, where, rule)).max() < 0.03


def test_without_steps_or_keys_there_are_zeros():
    assert attend(*draw(time=0), sight(0)).shape == (2, 0, 4, 8)
    assert (attend(*draw(keys=0), sight(keys=0)) == 0).all()


# Platforms


def lowered(platform, *, rule=MaskConfig(causal=True), key=None, dtype=jnp.float32):  # noqa: B008
    shape = jax.ShapeDtypeStruct((2, 256, 4, 8), dtype)
    where = jax.ShapeDtypeStruct((1, 256), jnp.int32)

    def function(q, k, v, at):
        return attend(q, k, v, KeyPositions(at, at), rule, aligned=True, key=key)

    traced = jax.jit(function).trace(shape, shape, shape, where)
    return traced.lower(lowering_platforms=(platform,)).as_text()


def test_the_cpu_goes_head_by_head_through_long_sequences_and_others_do_not():
    assert "stablehlo.while" in lowered("cpu")
    for platform in ("cuda", "tpu"):
        assert "stablehlo.while" not in lowered(platform)


def test_short_sequences_take_the_product_of_weights_and_values_once_for_the_gradient():
    def products(one_by_one):
        def loss(q, k, v):
            form = partial(by_head, rule=MaskConfig(causal=True), one_by_one=one_by_one)
            return form(q, k, v, sight(), None).sum()

        return str(jax.make_jaxpr(jax.grad(loss, argnums=(0, 1, 2)))(*draw())).count("dot_general")

    assert products(one_by_one=False) == products(one_by_one=True) - 1


def test_no_platform_makes_float64_of_float32():
    with jax.enable_x64(True):
        for platform in ("cpu", "cuda"):
            assert "f32" not in lowered(platform, dtype=jnp.float64)
            assert "f64" not in lowered(platform, rule=MaskConfig(window=3, alibi=True))


# Dropout


def test_dropped_weights_are_whole_ones_scaled_up():
    rule, key = MaskConfig(drop=dropout(0.5)), jax.random.key(5)
    q, k, v = draw()
    y = jax.jit(partial(attend, rule=rule))(0 * q, k, jnp.ones_like(v), sight(), key=key)
    # Of 11 equal weights some stay, each twice as large.
    counts = y[..., 0] * 11 / 2
    assert jnp.allclose(counts, counts.round(), atol=1e-4)
    assert abs(y.mean() - 1) < 0.1
    assert jnp.unique(counts.round()).size > 4


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("aligned", [False, True])
def test_every_form_drops_the_same_weights(aligned):
    rule, key = MaskConfig(causal=True, drop=dropout(0.5)), jax.random.key(5)
    one, other = (
        jax.jit(partial(by_head, rule=rule, aligned=aligned, one_by_one=one_by_one))(
            *draw(), sight(), key
        )
        for one_by_one in (False, True)
    )
    assert jnp.allclose(one, other, atol=1e-6)
    assert not np.allclose(one, by_hand(*draw(), sight(), rule), atol=0.1)


def test_rows_and_heads_drop_different_weights():
    rule = MaskConfig(drop=dropout(0.5))
    q, k, v = (jnp.ones_like(each) for each in draw())
    v = v * jnp.arange(11.0)[None, :, None, None]
    y = jax.jit(partial(attend, rule=rule))(q, k, v, sight(), key=jax.random.key(5))
    assert (y[0] != y[1]).any(-1).mean() > 0.8
    assert (y[:, :, :2] != y[:, :, 2:]).any(-1).mean() > 0.8
    assert (y[:, :, ::2] != y[:, :, 1::2]).any(-1).mean() > 0.8
    assert (y[:, 1:] != y[:, :-1]).any(-1).mean() > 0.8


# cuDNN


def test_an_unknown_implementation_is_refused():
    with pytest.raises(ValueError, match='implementation is "xla" or "cudnn", got \'flash\''):
        check_implementation("flash", "attention")


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="there is a GPU")
def test_cudnn_is_refused_where_there_is_none():
    with pytest.raises(RuntimeError, match='needs an NVIDIA GPU and cuDNN.*use "xla"'):
        check_implementation("cudnn", "attention")


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="there is no GPU")
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("seen", ["all seen", "padded"])
@pytest.mark.parametrize("aligned", [False, True])
def test_cudnn_on_a_gpu_gives_what_the_equation_gives(name, seen, aligned):
    rule, (q, k, v) = RULES[name]._replace(implementation="cudnn"), draw(jnp.bfloat16, 10, 10)
    mask = SEEN[seen] if SEEN[seen] is None else SEEN[seen][:, :10]
    where = sight(10, 10, mask)

    def total(q, k, v, rule):
        return jnp.sum(jnp.sin(attend(q, k, v, where, rule, aligned=aligned).astype(jnp.float32)))

    program = jax.jit(attend, static_argnames=("rule", "aligned"))
    lowered = program.lower(q, k, v, where, rule, aligned=aligned).as_text()
    assert "cudnn$fmha" in lowered
    y = program(q, k, v, where, rule, aligned=aligned)
    assert np.abs(np.asarray(y, np.float64) - by_hand(q, k, v, where, rule)).max() < 0.03
    slopes = jax.jit(jax.grad(total, (0, 1, 2)), static_argnums=3)
    wide = [each.astype(jnp.float32) for each in (q, k, v)]
    for mine, wanted in zip(slopes(q, k, v, rule), slopes(*wide, rule), strict=True):
        assert np.abs(np.asarray(mine, np.float64) - np.asarray(wanted)).max() < 0.06


def test_a_net_with_cudnn_is_made_though_its_tokens_have_no_dtype(monkeypatch):
    monkeypatch.setattr(
        "jaxnn.layers.attention.attention.check_implementation", lambda name, _: name
    )
    net = nn.serial(nn.embedding(16, 8), nn.attention(2, implementation="cudnn"), nn.dense(4))
    params, _ = net.init(jax.random.key(0), jnp.ones((2, 6), int))
    assert params[2]["w"].shape == (8, 4)


@pytest.fixture
def asked(monkeypatch):
    """What the library is asked of cuDNN, which XLA answers."""
    library, found = jax.nn.dot_product_attention, []

    def answer(*args, implementation, **options):
        assert implementation == "cudnn"
        assert args[4] is None or args[4].shape[-2:] == (11, 11)  # it broadcasts none
        found.append({"mask": args[4], **options})
        return library(*args, implementation="xla", **options)

    monkeypatch.setattr(jax.nn, "dot_product_attention", answer)
    return found


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("aligned", [False, True])
def test_cudnn_is_asked_for_the_same(name, seen, aligned, asked):
    rule, where, inputs = RULES[name], sight(seen=SEEN[seen]), draw(jnp.bfloat16)
    y = dot_product._fused(*inputs, where, None, rule=rule, aligned=aligned)
    assert np.abs(np.asarray(y, np.float64) - by_hand(*inputs, where, rule)).max() < 0.03
    if aligned and rule.causal and seen == "all seen":
        assert asked[0]["is_causal"]
        assert asked[0]["mask"] is None
