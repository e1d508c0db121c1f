from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn import core
from tests.parts import block, transformer
from tests.small import drawn_params

EXACT = partial(jax.nn.gelu, approximate=False)


@partial(jax.jit, static_argnums=0)
def call(net, params, x):
    return net(params, x)


@partial(jax.jit, static_argnums=0)
def begin(net, key, x):
    return net.init(key, x)[0]


@pytest.mark.parametrize("pre_norm", [True, False])
def test_a_block_is_its_parts(pre_norm, key):
    net = block(2, 16, causal=True, pre_norm=pre_norm)
    x = jax.random.normal(key, (2, 5, 8))
    params = drawn_params(net, x)
    parts = {
        "attention": nn.attention(2, causal=True),
        "mlp": nn.feed_forward(16),
        "attention_norm": nn.layer_norm(),
        "mlp_norm": nn.layer_norm(),
    }
    assert set(params) == set(parts)
    own = {name: partial(layer, params[name]) for name, layer in parts.items()}
    if pre_norm:
        h = x + own["attention"](own["attention_norm"](x))
        y = h + own["mlp"](own["mlp_norm"](h))
    else:
        h = own["attention_norm"](x + own["attention"](x))
        y = own["mlp_norm"](h + own["mlp"](h))
    assert np.allclose(call(net, params, x), y, atol=1e-5)


def torch_attention(layer, params):
    torch = pytest.importorskip("torch")
    names = ("qkv",) if "qkv" in params else ("q", "kv")
    w = np.concatenate([np.asarray(params[name]["w"]).T for name in names])
    b = np.concatenate([np.asarray(params[name]["b"]) for name in names])
    layer.in_proj_weight.data, layer.in_proj_bias.data = torch.tensor(w), torch.tensor(b)
    torch_dense(layer.out_proj, params["out"])


def torch_dense(layer, params):
    torch = pytest.importorskip("torch")
    layer.weight.data = torch.tensor(np.asarray(params["w"]).T.copy())
    layer.bias.data = torch.tensor(np.asarray(params["b"]).copy())


def torch_norm(layer, params):
    torch = pytest.importorskip("torch")
    layer.weight.data = torch.tensor(np.asarray(params["scale"]).copy())
    layer.bias.data = torch.tensor(np.asarray(params["b"]).copy())


@pytest.mark.parametrize(("pre_norm", "activation"), [(True, EXACT), (False, jax.nn.relu)])
def test_a_block_is_that_of_torch(pre_norm, activation, key):
    torch = pytest.importorskip("torch")
    net = block(4, 24, pre_norm=pre_norm, activation=activation)
    x = jax.random.normal(key, (3, 6, 16))
    mask = nn.length_mask(jnp.array([6, 4, 1]), 6)
    params = drawn_params(net, x)
    theirs = torch.nn.TransformerEncoderLayer(
        16, 4, 24, 0.0, "gelu" if activation is EXACT else "relu", batch_first=True,
        norm_first=pre_norm,
    )  # fmt: skip
    torch_attention(theirs.self_attn, params["attention"])
    torch_dense(theirs.linear1, params["mlp"]["up"])
    torch_dense(theirs.linear2, params["mlp"]["down"])
    torch_norm(theirs.norm1, params["attention_norm"])
    torch_norm(theirs.norm2, params["mlp_norm"])
    hidden = torch.tensor(~np.asarray(mask))
    y = theirs(torch.tensor(np.asarray(x)), src_key_padding_mask=hidden).detach().numpy()
    ours, out = call(net, params, (x, mask))
    assert (out == mask).all()
    assert np.allclose(np.asarray(ours)[mask], y[mask], atol=2e-5)


@pytest.mark.parametrize("pre_norm", [True, False])
def test_a_block_that_crosses_is_that_of_torch(pre_norm, key):
    torch = pytest.importorskip("torch")
    net = block(4, 24, causal=True, cross=True, pre_norm=pre_norm, activation=EXACT)
    x, memory = jax.random.normal(key, (2, 5, 16)), jax.random.normal(key, (2, 7, 16))
    seen = nn.length_mask(jnp.array([7, 3]), 7)
    params = drawn_params(net, (x, memory, seen))
    theirs = torch.nn.TransformerDecoderLayer(
        16, 4, 24, 0.0, "gelu", batch_first=True, norm_first=pre_norm
    )
    torch_attention(theirs.self_attn, params["attention"])
    torch_attention(theirs.multihead_attn, params["cross"])
    torch_dense(theirs.linear1, params["mlp"]["up"])
    torch_dense(theirs.linear2, params["mlp"]["down"])
    torch_norm(theirs.norm1, params["attention_norm"])
    torch_norm(theirs.norm2, params["cross_norm"])
    torch_norm(theirs.norm3, params["mlp_norm"])
    ahead = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
    y = theirs(
        torch.tensor(np.asarray(x)), torch.tensor(np.asarray(memory)), tgt_mask=ahead,
        memory_key_padding_mask=torch.tensor(~np.asarray(seen)),
    )  # fmt: skip
    ours, *rest = call(net, params, (x, memory, seen))
    assert np.allclose(ours, y.detach().numpy(), atol=2e-5)
    assert all((a == b).all() for a, b in zip(rest, (memory, seen), strict=True))


def test_a_transformer_is_its_blocks_and_a_norm(key):
    net, one = transformer(3, 2, 16, alibi=True), block(2, 16, alibi=True)
    x = jax.random.normal(key, (2, 5, 8))
    params = drawn_params(net, x)
    assert sorted(params) == ["blocks", "norm"]
    y = x
    for i in range(3):
        y = call(one, jax.tree.map(lambda leaf, i=i: leaf[i], params["blocks"]), y)
    assert np.allclose(call(net, params, x), nn.layer_norm()(params["norm"], y), atol=1e-5)


def test_norms_after_need_none_at_the_end():
    params = drawn_params(transformer(2, 2, 16, pre_norm=False), jnp.ones((2, 5, 8)))
    assert sorted(params) == ["blocks"]


def test_remat_changes_nothing_but_memory(key):
    x = jax.random.normal(key, (2, 5, 8))
    plain, saving = (transformer(2, 2, 16, dropout=0.2, remat=r) for r in (False, True))
    params = drawn_params(plain, x)

    def slope(net):
        total = lambda params: jnp.square(net(params, x, key=key, train=True)).sum()  # noqa: E731
        return jax.jit(jax.value_and_grad(total))(params)

    for a, b in zip(*map(jax.tree.leaves, (slope(plain), slope(saving))), strict=True):
        assert np.allclose(a, b, rtol=1e-4, atol=1e-5)
    text = str(jax.make_jaxpr(lambda p: saving(p, x))(params))
    assert "remat" in text or "checkpoint" in text


def test_a_deeper_net_is_no_longer_program(key):
    x = jnp.ones((2, 5, 8))

    def length(depth):
        net = transformer(depth, 2, 16, causal=True)
        params = jax.eval_shape(partial(begin, net), key, x)
        return len(str(jax.make_jaxpr(jax.grad(lambda p: net(p, x).sum()))(params)).splitlines())

    assert length(2) == length(30)


TOKENS = jnp.ones((2, 5), int)
WRITTEN_OUT = {
    "transformer": (lambda unroll: transformer(2, 2, 16, unroll=unroll), jnp.ones((2, 5, 8))),
    "gpt2": (
        lambda unroll: nn.gpt2(7, 8, 2, 2, length=5, unroll=unroll),
        TOKENS,
    ),
    "bert": (
        lambda unroll: nn.bert(7, 8, 2, 2, length=5, unroll=unroll),
        TOKENS,
    ),
    "seq2seq_transformer": (
        lambda unroll: nn.seq2seq_transformer(7, 8, 2, 2, unroll=unroll).net,
        (TOKENS, None, TOKENS),
    ),
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_blocks_written_out_are_no_loop(name, key):
    make, x = WRITTEN_OUT[name]

    def loops(unroll):
        net = make(unroll)
        params = jax.eval_shape(partial(begin, net), key, x)
        return call.lower(net, params, x).as_text().count("stablehlo.while")

    assert loops(1) > 0
    assert loops(2) == 0


def test_weights_begin_as_gpt_2_has_them(key):
    blocks = begin(transformer(8, 2, 128), key, jnp.ones((2, 5, 64)))["blocks"]
    for weight, deviation in [
        (blocks["attention"]["qkv"]["w"], 0.02),
        (blocks["mlp"]["up"]["w"], 0.02),
        (blocks["attention"]["out"]["w"], 0.02 / 4),
        (blocks["mlp"]["down"]["w"], 0.02 / 4),
    ]:
        assert float(weight.std()) == pytest.approx(deviation, rel=0.03)
    post = begin(transformer(8, 2, 128, pre_norm=False), key, jnp.ones((2, 5, 64)))["blocks"]
    assert float(post["mlp"]["down"]["w"].std()) == pytest.approx(0.02, rel=0.03)


def test_what_attention_and_mlp_put_out_is_dropped(key):
    # All weights are zero and all biases one, so that each adds one, or what is kept of it.
    net = block(1, 4, dropout=0.5, attention_dropout=0.0)
    x = jnp.zeros((16, 5, 8))
    params = jax.tree_util.tree_map_with_path(
        lambda at, leaf: jnp.full(leaf.shape, at[-1].key == "b", leaf.dtype), drawn_params(net, x)
    )
    assert set(np.unique(net(params, x))) == {2}
    y = net(params, x, key=key, train=True)
    values, counts = np.unique(np.asarray(y), return_counts=True)
    assert values.tolist() == [0, 2, 4]
    assert np.allclose(counts / y.size, [0.25, 0.5, 0.25], atol=0.06)


def test_weights_of_attention_are_dropped_at_their_own_rate(key):
    x = jax.random.normal(key, (2, 5, 8))
    outputs = []
    for rate, weights in ((0.5, 0.0), (0.0, 0.5)):
        net = block(2, 16, dropout=rate, attention_dropout=weights)
        params = drawn_params(net, x)
        outputs.append(net(params, x, key=key, train=True) - net(params, x))
    assert all(np.abs(change).max() > 1e-3 for change in outputs)
    net = block(2, 16)
    assert (net(params, x, train=True) == net(params, x)).all()  # draws nothing


def test_a_cell_with_a_memory_gives_what_the_layer_gives(key):
    made_with = partial(
        transformer, 2, 2, 16, causal=True, cross=True, kv_heads=1, rotary=nn.rotary()
    )
    layer, cell = made_with(), made_with(capacity=6)
    x, memory = jax.random.normal(key, (2, 6, 8)), jax.random.normal(key, (2, 5, 12))
    seen = nn.length_mask(jnp.array([5, 2]), 5)
    params = drawn_params(layer, (x, memory, seen))
    carry = cell.carry(params, (x, memory, seen))
    assert not any(5 in leaf.shape for leaf in jax.tree.leaves(carry))  # nothing of the memory
    step = jax.jit(
        lambda carry, x: core.apply_either(cell, params, (), carry, (x, memory, seen))[:2]
    )
    parts = []
    for start, stop in [(0, 3), (3, 4), (4, 5), (5, 6)]:
        y, carry = step(carry, x[:, start:stop])
        parts.append(y)
    whole = call(layer, params, (x, memory, seen))
    assert np.allclose(jnp.concatenate(parts, axis=1), whole, atol=1e-5)


def test_what_does_not_fit_is_refused(key):
    x = jnp.ones((2, 5, 8))
    with pytest.raises(ValueError, match=r"takes \(x, memory, memory_mask\)"):
        transformer(1, 2, 16, cross=True).init(key, x)
    with pytest.raises(ValueError, match="repeat: n must be a whole number"):
        nn.transformer(block(2, 16), 0)
    with pytest.raises(ValueError, match="3 heads do not divide a width of 8"):
        block(3, 16).init(key, x)
    with pytest.raises(ValueError, match="a cache cannot hold later steps"):
        block(2, 16, capacity=4)
