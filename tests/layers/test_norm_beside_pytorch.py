import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxnn.layers.norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from tests import golden
from tests.layers.test_norm import MAKES

pytestmark = pytest.mark.ordinary


def ours(name):
    """The layer of a golden case as a function of its inputs."""
    title, _, how = name.partition("-")
    if title == "batch_norm":
        options: dict = {"momentum": 0.75, "epsilon": 1e-2} if how == "momentum" else {}

        def batch(inputs):
            params = {each: inputs[each] for each in ("scale", "b")}
            state = {each: inputs[each] for each in ("mean", "variance")}
            y, state = batch_norm(**options).apply(
                params, state, inputs["x"], train=how != "evaluation"
            )
            return y, state["mean"], state["variance"]

        return batch
    net = {
        "layer_norm": layer_norm(axes=2 if how == "two_axes" else 1),
        "rms_norm": rms_norm(),
        "group_norm": group_norm({"one": 1, "vectors": 2}.get(how, 3)),
        "instance_norm": instance_norm(),
    }[title]
    return lambda inputs: net({k: v for k, v in inputs.items() if k != "x"}, inputs["x"])


@pytest.mark.parametrize("name", golden.names("norm"))
def test_norms_are_those_of_pytorch(name):
    golden.check(golden.load("norm", name), ours(name))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    title=st.sampled_from(sorted(MAKES)),
    space=st.lists(st.integers(1, 4), max_size=3),
    rows=st.integers(2, 5),
    each=st.integers(1, 3),
    groups=st.integers(1, 3),
    axes=st.integers(1, 3),
    epsilon=st.sampled_from([1e-6, 1e-5, 1e-3, 1.0]),
    momentum=st.sampled_from([0.0, 0.5, 0.99]),
    train=st.booleans(),
    scale=st.booleans(),
)
def test_random_norms_are_those_of_pytorch(
    title, space, rows, each, groups, axes, epsilon, momentum, train, scale
):
    torch = pytest.importorskip("torch", reason="pip install -e '.[peers]'")
    functional = torch.nn.functional
    rng, channels = np.random.default_rng(0), each * groups
    x = rng.normal(size=(rows, *space, channels)) * 2 + 1
    axes = 1 if title == "rms_norm" else min(axes, x.ndim - 1)
    shape = x.shape[-axes:] if title in ("layer_norm", "rms_norm") else (channels,)
    gain, shift = rng.normal(size=shape) if scale else None, rng.normal(size=shape)
    mean, variance = rng.normal(size=channels), rng.uniform(0.5, 2, size=channels)
    values = {
        "layer_norm": np.prod(shape),
        "group_norm": each * np.prod(space),
        "instance_norm": np.prod(space),
    }
    if values.get(title, 2) < 2 or (title == "instance_norm" and not space):
        return  # no variance: refused above

    def first(x):
        return torch.tensor(x).movedim(-1, 1)

    g, b = None if gain is None else torch.tensor(gain), torch.tensor(shift)
    if title == "batch_norm":
        m, v = torch.tensor(mean), torch.tensor(variance)
        y = functional.batch_norm(first(x), m, v, g, b, train, 1 - momentum, epsilon)
        expected = [y.movedim(1, -1), m, v]
    elif title == "layer_norm":
        expected = [functional.layer_norm(torch.tensor(x), shape, g, b, epsilon)]
    elif title == "rms_norm":
        expected = [functional.rms_norm(torch.tensor(x), shape, g, epsilon)]
    elif title == "group_norm":
        expected = [functional.group_norm(first(x), groups, g, b, epsilon).movedim(1, -1)]
    else:
        y = functional.instance_norm(first(x), weight=g, bias=b, eps=epsilon)
        expected = [y.movedim(1, -1)]

    options = {"epsilon": epsilon, "scale": scale}
    net = {
        "batch_norm": lambda: batch_norm(momentum=momentum, **options),
        "layer_norm": lambda: layer_norm(axes=axes, **options),
        "rms_norm": lambda: rms_norm(**options),
        "group_norm": lambda: group_norm(groups, **options),
        "instance_norm": lambda: instance_norm(**options),
    }[title]()
    with jax.enable_x64(True):
        params = ({"scale": jnp.asarray(gain)} if scale else {}) | (
            {} if title == "rms_norm" else {"b": jnp.asarray(shift)}
        )
        state = (
            {"mean": jnp.asarray(mean), "variance": jnp.asarray(variance)}
            if title == "batch_norm"
            else ()
        )
        found = jax.jit(net.apply, static_argnames="train")(params, state, x, train=train)
        for mine, theirs in zip(jax.tree.leaves(found), expected, strict=True):
            assert np.abs(mine - theirs.numpy()).max() < 1e-10
