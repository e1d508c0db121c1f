import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn.interop import Layout, NameRow, from_layout, to_layout

LAYOUT = Layout(
    rows=(
        NameRow("net.embed", "embed", "table"),
        NameRow(("net.h.{i}.q", "net.h.{i}.k", "net.h.{i}.v"), "blocks.qkv", "linear", (2, 1, 1)),
        NameRow("net.h.{i}.ln", "blocks.norm", "norm"),
        NameRow("net.h.{i}.fc", "blocks.up", "transposed_linear"),
    ),
    prefix="net.",
    tied={"head.weight": "net.embed.weight"},
    passed=("*.mask",),
)
SPECS = {
    "embed": {"w": (5, 4)},
    "blocks": {
        "qkv": {"w": (2, 4, 8), "b": (2, 8)},
        "norm": {"scale": (2, 4), "b": (2, 4)},
        "up": {"w": (2, 4, 6)},
    },
}
LIKE = jax.tree.map(
    lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32),
    SPECS,
    is_leaf=lambda node: isinstance(node, tuple),
)
SHAPES = {
    "net.embed.weight": (5, 4),
    "net.h.{i}.q.weight": (4, 4),
    "net.h.{i}.k.weight": (2, 4),
    "net.h.{i}.v.weight": (2, 4),
    "net.h.{i}.q.bias": (4,),
    "net.h.{i}.k.bias": (2,),
    "net.h.{i}.v.bias": (2,),
    "net.h.{i}.ln.weight": (4,),
    "net.h.{i}.ln.bias": (4,),
    "net.h.{i}.fc.weight": (4, 6),
}


def theirs() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    names = {name.format(i=i): shape for i in range(2) for name, shape in SHAPES.items()}
    return {name: draw.normal(size=shape).astype(np.float32) for name, shape in names.items()}


def test_every_tensor_finds_its_place():
    tensors = theirs()
    params = from_layout(LAYOUT, tensors, LIKE)
    assert jax.tree.structure(params) == jax.tree.structure(LIKE)
    assert (params["embed"]["w"] == tensors["net.embed.weight"]).all()
    for i in range(2):
        q, k, v = (tensors[f"net.h.{i}.{each}.weight"].T for each in "qkv")
        assert (params["blocks"]["qkv"]["w"][i] == np.concatenate([q, k, v], 1)).all()
        biases = [tensors[f"net.h.{i}.{each}.bias"] for each in "qkv"]
        assert (params["blocks"]["qkv"]["b"][i] == np.concatenate(biases)).all()
        assert (params["blocks"]["norm"]["scale"][i] == tensors[f"net.h.{i}.ln.weight"]).all()
        assert (params["blocks"]["up"]["w"][i] == tensors[f"net.h.{i}.fc.weight"]).all()


def test_there_and_back():
    tensors = theirs()
    back = to_layout(LAYOUT, from_layout(LAYOUT, tensors, LIKE))
    assert sorted(back) == sorted(tensors)
    for name, tensor in tensors.items():
        assert (back[name].dtype, back[name].shape) == (tensor.dtype, tensor.shape)
        assert (back[name] == tensor).all()


def test_the_prefix_may_be_left_out():
    bare = {name.removeprefix("net."): tensor for name, tensor in theirs().items()}
    expected = from_layout(LAYOUT, theirs(), LIKE)
    for more in ({}, {"head.weight": bare["embed.weight"]}):
        params = from_layout(LAYOUT, bare | more, LIKE)
        assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), params, expected))


def test_half_precision_enters_a_net_of_float32():
    half = {name: tensor.astype(jnp.bfloat16) for name, tensor in theirs().items()}
    params = from_layout(LAYOUT, half, LIKE)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
    assert (params["embed"]["w"] == half["net.embed.weight"].astype(np.float32)).all()


def test_tied_and_passed_tensors():
    tensors = theirs()
    tensors["net.h.0.mask"] = np.ones(3)
    tensors["head.weight"] = tensors["net.embed.weight"].copy()
    from_layout(LAYOUT, tensors, LIKE)
    tensors["head.weight"][0, 0] += 1
    with pytest.raises(ValueError, match=r"head\.weight is not net\.embed\.weight, to which"):
        from_layout(LAYOUT, tensors, LIKE)


def test_a_mismatch_says_which_names_and_shapes_and_what_was_left_over():
    tensors = theirs()
    tensors["net.h.0.k.weight"] = np.ones((3, 4), np.float32)
    tensors["net.h.2.ln.bias"] = np.ones(4, np.float32)
    del tensors["net.h.1.fc.weight"]
    with pytest.raises(ValueError) as error:  # noqa: PT011
        from_layout(LAYOUT, tensors, LIKE | {"head": {"w": jnp.ones((4, 5))}})
    assert str(error.value) == (
        "these tensors are not this net's. missing: net.h.1.fc.weight; misshapen: "
        "net.h.0.k.weight is float32[3,4] and has to be float32[2,4]; left over among the "
        "tensors: net.h.2.ln.bias; left over in the net: head.w."
    )


def test_params_of_another_net_are_not_written():
    params = from_layout(LAYOUT, theirs(), LIKE)
    with pytest.raises(ValueError, match=r"left over in the net: head\.w\.\n"):
        to_layout(LAYOUT, params | {"head": {"w": jnp.ones(2)}})
    del params["blocks"]["norm"]
    with pytest.raises(ValueError, match=r"left over in the layout: blocks\.norm\.\n"):
        to_layout(LAYOUT, params)


def test_a_row_may_be_the_net_itself(key):
    x = jnp.ones((4, 3))
    params, _ = nn.dense(2).init(key, x)
    layout = Layout((NameRow("fc", "", "linear"),))
    theirs = to_layout(layout, params)
    assert (theirs["fc.weight"] == params["w"].T).all()
    assert (from_layout(layout, theirs, params)["w"] == params["w"]).all()


def test_a_convolutional_net_of_torch_gives_the_same_with_its_running_statistics(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, padding=1),
        torch.nn.BatchNorm2d(6),
        torch.nn.ReLU(),
        torch.nn.Conv2d(6, 6, 3, padding=1, groups=6),
        torch.nn.ConvTranspose2d(6, 4, 2, stride=2),
    )
    x = torch.randn(4, 3, 8, 8)
    for _ in range(3):
        theirs(x)
    theirs.eval()
    torch.save({"model": theirs.state_dict(), "epoch": 3}, tmp_path / "net.pt")
    ours = nn.serial(
        nn.conv(6, 3),
        nn.batch_norm(),
        jax.nn.relu,
        nn.depthwise_conv(3),
        nn.conv_transpose(4, 2, stride=2),
    )
    images = np.moveaxis(x.numpy(), 1, -1)
    params, state = ours.init(jax.random.key(0), images)
    layout = Layout(
        (
            NameRow("0", "params.0", "conv"),
            NameRow("1", "params.1", "norm"),
            NameRow("1", "state.1", "running"),
            NameRow("3", "params.3", "conv"),
            NameRow("4", "params.4", "conv_transpose"),
        ),
        passed=("*.num_batches_tracked",),
    )
    tensors = nn.interop.load_torch(tmp_path / "net.pt", "model")
    found = nn.interop.from_layout(layout, tensors, {"params": params, "state": state})
    y, _ = ours.apply(found["params"], found["state"], images)
    with torch.no_grad():
        wanted = np.moveaxis(theirs(x).numpy(), 1, -1)
    np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5)


CELLS = {
    "lstm": ("LSTM", nn.lstm, "recurrent"),
    "gru": ("GRU", nn.gru, "gru"),
    "elman": ("RNN", nn.elman, "recurrent"),
}


@pytest.mark.parametrize("name", CELLS)
def test_recurrent_nets_of_torch_give_the_same_both_ways_and_there_and_back(name, key):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    title, cell, kind = CELLS[name]
    theirs = getattr(torch.nn, title)(3, 5, num_layers=2, bidirectional=True, batch_first=True)
    x = torch.randn(4, 6, 3)
    ours = nn.unroll(nn.stack(nn.bidirectional(cell(5)), nn.bidirectional(cell(5))))
    like, _ = jax.eval_shape(ours.init, key, x.numpy())
    ends = {"l0": "0.forward", "l0_reverse": "0.backward"}
    ends |= {"l1": "1.forward", "l1_reverse": "1.backward"}
    layout = Layout(tuple(NameRow(f"rnn.*_{end}", place, kind) for end, place in ends.items()))
    tensors = {f"rnn.{name}": leaf.detach().numpy() for name, leaf in theirs.named_parameters()}
    params = from_layout(layout, tensors, like)
    with torch.no_grad():
        np.testing.assert_allclose(ours(params, x.numpy()), theirs(x)[0], rtol=1e-5, atol=1e-6)
        back = to_layout(layout, params)
        for name, parameter in theirs.named_parameters():
            parameter.copy_(torch.tensor(back.pop(f"rnn.{name}")))
        assert not back
        np.testing.assert_allclose(ours(params, x.numpy()), theirs(x)[0], rtol=1e-5, atol=1e-6)


def test_the_two_biases_of_a_cell_are_summed_and_one_alone_is_refused():
    draw, shapes = np.random.default_rng(0), {"weight_ih": (6, 3), "weight_hh": (6, 2)}
    tensors = {f"cell.{n}": draw.normal(size=s) for n, s in shapes.items()}
    tensors |= {f"cell.{name}": draw.normal(size=6) for name in ("bias_ih", "bias_hh")}
    like = jax.eval_shape(nn.gru(2).init, jax.random.key(0), jnp.ones((1, 1, 3)))[0]
    layout = Layout((NameRow("cell", "", "gru"),))
    params = from_layout(layout, tensors, like)
    both = tensors["cell.bias_ih"] + tensors["cell.bias_hh"]
    np.testing.assert_allclose(params["b"][:4], both[:4], rtol=1e-6)
    np.testing.assert_allclose(params["b"][4:], tensors["cell.bias_ih"][4:], rtol=1e-6)
    np.testing.assert_allclose(params["b_h"], tensors["cell.bias_hh"][4:], rtol=1e-6)
    del tensors["cell.bias_hh"]
    with pytest.raises(ValueError, match=r"two biases .* missing: cell\.bias_hh"):
        from_layout(layout, tensors, like)


def test_a_kind_that_is_unknown_names_those_there_are():
    with pytest.raises(ValueError, match="the kind of fc is one of .*did you mean 'linear'"):
        nn.interop.to_layout(Layout((NameRow("fc", "", "liner"),)), {"w": np.ones((2, 2))})
