# pyright: reportArgumentType=false
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn import interop

GOLDEN = Path(__file__).parents[2] / "golden" / "interop.npz"
DECODERS = "gpt2", "gpt2_untied", "llama", "llama_tied"
TOLERANCE = 1e-4
GPT2 = {"model_type": "gpt2", "vocab_size": 9, "n_embd": 8, "n_layer": 2, "n_head": 2}
BERT = {
    "model_type": "bert",
    "vocab_size": 9,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
}
LLAMA = BERT | {"model_type": "llama"}


def golden(name: str) -> dict:
    """What the peer recorded of a model: weights, tokens and what it made of them."""
    with np.load(GOLDEN) as file:
        held = {key.split("/", 1)[1]: file[key] for key in file if key.split("/")[0] == name}
    weights = {key.split("/")[1]: value for key, value in held.items() if "weight/" in key}
    return held | {"config": json.loads(str(held["config"])), "weights": weights}


def built(config: dict, tensors: dict, **options):
    """Our net and its params, of their config and their weights."""
    net = getattr(nn, config["model_type"])(**nn.net_arguments(config), **options)
    like, _ = jax.eval_shape(net.init, jax.random.key(0), jnp.ones((8, 4), jnp.int32))
    return net, interop.from_layout(interop.layout_for(config), tensors, like)


def check_decoder(case: dict) -> None:
    """Asserts that logits and tokens generated are theirs."""
    tokens = jnp.asarray(case["tokens"], jnp.int32)
    net, params = built(case["config"], case["weights"])
    assert np.abs(jax.jit(net)(params, tokens) - case["output"]).max() < TOLERANCE
    steps = case["generated"].shape[1]
    cell, _ = built(case["config"], case["weights"], capacity=tokens.shape[1] + steps)
    grown = nn.generate(cell, params, (), tokens, steps=steps, temperature=0)
    assert grown.tokens.tolist() == case["generated"].tolist()


def check_encoder(case: dict) -> None:
    """Asserts that the features of every token that is there are theirs, with types and without."""
    tokens, types, lengths = (
        jnp.asarray(case[each], jnp.int32) for each in ("tokens", "types", "lengths")
    )
    net, params = built(case["config"], case["weights"])
    mask = nn.length_mask(lengths, tokens.shape[1])
    for x, theirs in (((tokens, mask, types), case["output"]), ((tokens, lengths), case["plain"])):
        assert np.abs(jax.jit(net)(params, x) - theirs)[mask].max() < TOLERANCE


# The peer's numbers


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.first(2)
def test_decoders_give_the_logits_and_the_tokens_of_the_peer(name):
    check_decoder(golden(name))


def test_the_encoder_gives_the_features_of_the_peer():
    check_encoder(golden("bert"))


@pytest.mark.parametrize("name", [*DECODERS, "bert"])
def test_weights_go_there_and_back(name):
    case = golden(name)
    _, params = built(case["config"], case["weights"])
    back = interop.to_layout(interop.layout_for(case["config"]), params)
    prefix = "bert." if name == "bert" else ""  # which their bare encoder leaves out
    weights = {prefix + each: value for each, value in case["weights"].items()}
    # The head is the embedding where they are tied; the pooler is no part of the encoder.
    assert set(weights) - set(back) == {
        "gpt2": {"lm_head.weight"},
        "llama_tied": {"lm_head.weight"},
        "bert": {"bert.pooler.dense.weight", "bert.pooler.dense.bias"},
    }.get(name, set())
    for each, value in back.items():
        assert (weights[each] == value).all()


@pytest.mark.parametrize("name", [*DECODERS, "bert"])
def test_a_live_peer_agrees_in_both_directions(name, tmp_path, recwarn):
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tests.golden import interop as peer

    torch.manual_seed(1)
    made, tokens = peer.model(peer.CONFIGS[name])
    made.save_pretrained(tmp_path)
    case = peer.case(made, tokens)
    config = json.loads((tmp_path / "config.json").read_text())
    tensors = interop.load(tmp_path / "model.safetensors")
    held = {"config": config, "weights": tensors}
    (check_encoder if name == "bert" else check_decoder)(case | held)

    # And other weights of ours, read by the peer from our file.
    net, like = built(config, tensors)
    params, _ = net.init(jax.random.key(2), jnp.ones((8, 4), jnp.int32))
    assert jax.tree.structure(params) == jax.tree.structure(like)
    theirs = interop.to_layout(interop.layout_for(config), params)
    interop.save(tmp_path / "model.safetensors", theirs)
    read, told = type(made).from_pretrained(tmp_path, output_loading_info=True)
    assert not told["unexpected_keys"]
    assert set(told["missing_keys"]) <= {"pooler.dense.weight", "pooler.dense.bias"}
    with torch.no_grad():
        y = read.eval()(tokens)[0].numpy()
    assert np.abs(net(params, jnp.asarray(tokens.numpy())) - y).max() < TOLERANCE


def test_a_model_under_another_prefix_is_the_same():
    case = golden("bert")
    longer = {f"bert.{name}": value for name, value in case["weights"].items()}
    longer["cls.predictions.bias"] = np.zeros(40, np.float32)
    same(case, longer)
    case = golden("gpt2")
    bare = {name.removeprefix("transformer."): value for name, value in case["weights"].items()}
    bare["h.0.attn.bias"] = np.ones((1, 1, 24, 24), np.float32)
    same(case, bare)


def same(case: dict, tensors: dict) -> None:
    """Asserts that these tensors make the params that the case's weights make."""
    (_, ours), (_, others) = (built(case["config"], each) for each in (case["weights"], tensors))
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), ours, others))


def test_another_models_weights_say_what_does_not_fit():
    case = golden("llama")
    del case["weights"]["model.norm.weight"]
    case["weights"]["model.layers.0.self_attn.k_proj.weight"] = np.ones((16, 16), np.float32)
    case["weights"]["model.layers.3.mlp.up_proj.weight"] = np.ones((24, 16), np.float32)
    with pytest.raises(ValueError) as error:  # noqa: PT011
        built(case["config"], case["weights"])
    assert str(error.value) == (
        "these tensors are not this net's. missing: model.norm.weight; misshapen: "
        "model.layers.0.self_attn.k_proj.weight is float32[16,16] and has to be float32[8,16]; "
        "left over among the tensors: model.layers.3.mlp.up_proj.weight."
    )
    tied = golden("gpt2_untied")
    with pytest.raises(ValueError, match="to which the layout ties it: set tie_word_embeddings to"):
        built(tied["config"] | {"tie_word_embeddings": True}, tied["weights"])


# Configurations


def test_defaults_are_those_of_the_peer():
    transformers = pytest.importorskip("transformers")
    for small, kind in ((GPT2, "GPT2"), (BERT, "Bert"), (LLAMA, "Llama")):
        sizes = {name: value for name, value in small.items() if name != "model_type"}
        full = getattr(transformers, f"{kind}Config")(**sizes).to_dict()
        ours, theirs = (nn.net_arguments(each) for each in (small | {"n_positions": 1024}, full))
        assert sorted(ours) == sorted(theirs)
        for name in set(ours) - {"rotary"}:
            assert ours[name] == theirs[name]
        assert interop.layout_for(small) == interop.layout_for(full)


@pytest.mark.parametrize("kind", ["gpt-neo", None])
def test_another_model_is_refused(kind):
    with pytest.raises(ValueError, match=f"model_type {kind!r} is not one of gpt2, bert, llama"):
        nn.net_arguments({"model_type": kind})
    with pytest.raises(ValueError, match=f"no layout for model_type {kind!r}, but for 'gpt2'"):
        interop.layout_for({"model_type": kind})


@pytest.mark.parametrize(
    ("config", "setting", "said"),
    [
        (GPT2, {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is Tr"),
        (GPT2 | {"n_positions": 9}, {"activation_function": "swish"}, "activation_function is 'sw"),
        (BERT, {"position_embedding_type": "relative_key"}, "only 'absolute' is supported"),
        (BERT, {"is_decoder": True}, "is_decoder is True"),
        (LLAMA, {"rope_scaling": {"factor": 8.0}}, "rope_scaling is"),
        (LLAMA, {"rope_parameters": {"rope_type": "llama3"}}, "rope_type is 'llama3'"),
        (LLAMA, {"head_dim": 16}, "head_dim is 16 in this config, and only 4"),
        (LLAMA, {"attention_bias": True}, "mlp_bias is False in this config, and only True"),
    ],
)
def test_what_the_nets_do_not_have_is_refused(config, setting, said):
    with pytest.raises(ValueError, match=said):
        nn.net_arguments(config | setting)


def test_the_rotation_is_found_in_old_and_new_configs():
    x, at = jnp.ones((1, 3, 1, 4)), jnp.arange(3)[None]
    turned = nn.rotary(500.0)(x, at)
    for setting in ({"rope_theta": 500.0}, {"rope_parameters": {"rope_theta": 500.0}}):
        assert (nn.net_arguments(LLAMA | setting)["rotary"](x, at) == turned).all()
