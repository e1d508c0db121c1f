# pyright: reportArgumentType=false
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnn.layers.attention.attention import attention, cross_attention
from tests import golden

pytestmark = pytest.mark.ordinary


def packed(case):
    """Our params from PyTorch's, which stand [outputs, inputs]."""
    q, k, v = case["q"].T, case["k"].T, case["v"].T
    out = {"w": case["out"].T, "b": case["out_b"]}
    if k.shape[0] == 8:
        return {"qkv": {"w": jnp.concatenate([q, k, v], 1), "b": case["b"]}, "out": out}
    kv = {"w": jnp.concatenate([k, v], 1), "b": case["b"][8:]}
    return {"q": {"w": q, "b": case["b"][:8]}, "kv": kv, "out": out}


def ours(name):
    net = {
        "self causal": attention(4, causal=True),
        "cross": cross_attention(4),
        "cross padded": cross_attention(4),
        "grouped causal": attention(4, kv_heads=2, causal=True, bias=False),
        "grouped window": attention(4, kv_heads=2, causal=True, window=2, bias=False),
        "grouped query-key norm": attention(4, kv_heads=2, causal=True, qk_norm=True, bias=False),
    }.get(name, attention(4))

    def run(case):
        x = tuple(case[each] for each in ("x", "memory", "mask") if each in case)
        x = x[0] if len(x) == 1 else x
        if "qkv" in case:
            params = {"qkv": {"w": case["qkv"].T}, "out": {"w": case["out"].T}}
            if "q_scale" in case:
                params |= {f"{each}_norm": {"scale": case[f"{each}_scale"]} for each in "qk"}
        else:
            params = packed(case)
        y = net(params, x)
        return y[0] if isinstance(y, tuple) else y

    return run


@pytest.mark.parametrize("name", golden.names("attention"))
def test_values_and_gradients_are_pytorchs(name):
    golden.check(golden.load("attention", name), ours(name))


@st.composite
def configurations(draw):
    kv_heads = draw(st.sampled_from([1, 2, 3]))
    window = draw(st.none() | st.integers(1, 6))
    return {
        "kv_heads": kv_heads,
        "heads": kv_heads * draw(st.integers(1, 3)),
        "each": draw(st.integers(1, 5)),
        "features": draw(st.integers(1, 6)),
        "time": draw(st.integers(1, 8)),
        "causal": draw(st.booleans()),
        "window": window,
        "masked": draw(st.booleans()),
        "seed": draw(st.integers(0, 99)),
    }


@settings(max_examples=12, deadline=None, derandomize=True)
@given(configurations())
def test_any_configuration_is_pytorchs(c):
    torch = pytest.importorskip("torch", reason="pip install -e '.[peers]'")
    key, width = jax.random.key(c["seed"]), c["heads"] * c["each"]
    x = jax.random.normal(key, (2, c["time"], c["features"]))
    mask = jax.random.bernoulli(key, 0.6, (2, c["time"], c["time"]))
    net = attention(
        c["heads"], kv_heads=c["kv_heads"], width=width, causal=c["causal"], window=c["window"]
    )
    params, _ = net.init(key, x)

    def loss(params, x):
        y = net(params, (x, mask))[0] if c["masked"] else net(params, x)
        return jnp.sum(jnp.sin(y)), y

    (gradients, y) = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, x)

    held = jax.tree.map(
        lambda leaf: torch.tensor(np.asarray(leaf), requires_grad=True), (params, x)
    )
    (theirs, x_), steps = held, torch.arange(c["time"])
    split = (x_ @ theirs["qkv"]["w"] + theirs["qkv"]["b"]).unflatten(-1, (-1, c["each"]))
    q, k, v = split.transpose(1, 2).split([c["heads"], c["kv_heads"], c["kv_heads"]], dim=1)
    far = steps[:, None] - steps
    see = torch.tensor(np.asarray(mask)) if c["masked"] else torch.ones(2, *far.shape) > 0
    see = see & (far >= 0) if c["causal"] else see
    see = see & (far.abs() < c["window"]) if c["window"] else see
    attended = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=see[:, None], enable_gqa=True
    )
    # Where a query sees nothing PyTorch gives zeros here too, but no number for its gradient.
    attended = torch.where(see.any(-1)[:, None, :, None], attended, torch.zeros(()))
    wanted = attended.transpose(1, 2).flatten(2) @ theirs["out"]["w"] + theirs["out"]["b"]
    assert np.allclose(y, wanted.detach().numpy(), atol=1e-5)
    if see.any(-1).all():
        torch.sin(wanted).sum().backward()
        for mine, other in zip(jax.tree.leaves(gradients), jax.tree.leaves(held), strict=True):
            assert np.allclose(mine, other.grad.numpy(), atol=1e-4)
