from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn

uniform = jax.random.uniform


def made(net, x):
    return net.init(jax.random.key(0), x)[0]


def test_a_image_held_is_the_image_at_every_step():
    x = uniform(jax.random.key(1), (3, 5))
    held, fed = (nn.unroll(nn.spiking.spiking_mlp(8, 2, steps=steps)) for steps in (6, None))
    params = made(held, x)
    first, _ = params["stage0"][0], params["stage0"][1:]
    loose = {"stage0": (first, ()), "head": params["head"]}
    y, z = held(params, x), fed(loose, jnp.repeat(x[:, None], 6, axis=1))
    assert np.allclose(y.output, z.output, atol=1e-6)
    assert np.array_equal(y.spikes[0], z.spikes[0])


def test_the_read_out_gathers_what_the_spikes_weigh():
    x = uniform(jax.random.key(1), (3, 6, 5))
    net = nn.unroll(
        nn.spiking.spiking_mlp(
            8, 2, neuron=partial(nn.spiking.lif, 0.7), readout=nn.spiking.leaky_integrator
        )
    )
    params = made(net, x)
    y = net(params, x)
    assert 0 < y.spikes[0].mean() < 1
    assert set(np.unique(y.spikes[0])) == {0, 1}
    weighed = nn.dense(2)(params["head"][0], y.spikes[0])
    assert np.allclose(nn.unroll(nn.spiking.leaky_integrator())((), weighed), y.output, atol=1e-6)


def test_every_step_of_a_sequence_has_the_same_layer():
    x = uniform(jax.random.key(1), (2, 3, 6, 6, 1))
    layer = nn.conv(4, 3, stride=2)
    params = made(layer, x[:, 0])
    y = nn.spiking.time_distributed(layer)(params, x)
    assert np.allclose(y, jnp.stack([layer(params, x[:, i]) for i in range(3)], axis=1), atol=1e-6)


def test_a_spiking_cnn_halves_space_at_each_stage():
    net, x = nn.unroll(nn.spiking.spiking_cnn(5, 4, 8)), jnp.ones((2, 3, 12, 10, 1))
    y = jax.eval_shape(lambda x: net(made(net, x), x), x)
    assert y.output.shape == (2, 3, 5)
    assert [each.shape[2:] for each in y.spikes] == [(6, 5, 4), (3, 3, 8)]


def test_it_runs_step_by_step_on_what_comes():
    net, x = nn.spiking.spiking_mlp(8, 2), uniform(jax.random.key(1), (3, 4, 5))
    params, _ = net.init(jax.random.key(0), x)
    carry, outputs = net.carry(params, x), []
    for i in range(4):
        (carry, y), _ = net.apply(params, net.init(jax.random.key(0), x)[1],
                                  (carry, x[:, i : i + 1]))  # fmt: skip
        outputs.append(y.output)
    whole = nn.unroll(net)(params, x).output
    assert np.allclose(jnp.concatenate(outputs, axis=1), whole, atol=1e-6)


def test_spike_rate_weighs_all_neurons_alike():
    assert nn.spiking.spike_rate((jnp.ones((2, 3, 5)), jnp.zeros((2, 3, 15)))) == 0.25


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nn.spiking.spiking_mlp(10), "the last of them the outputs"),
        (lambda: nn.spiking.spiking_cnn(10), "the width of each convolution"),
        (lambda: nn.spiking.spiking_cnn(0, 8), "classes must be a whole number"),
        (
            lambda: nn.spiking.spiking_mlp(8, 2, steps=0),
            "steps must be a whole number of at least 1",
        ),
        (lambda: nn.spiking.repeat_in_time(0), "repeat_in_time: steps must be"),
        (lambda: nn.spiking.spiking_net(head=nn.dense(2)), "spiking_net takes stages"),
    ],
)
def test_nets_of_nothing_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_time_distributed_refuses_cells_and_inputs_without_steps(key):
    with pytest.raises(TypeError, match="time_distributed takes a layer"):
        nn.spiking.time_distributed(nn.spiking.lif())
    with pytest.raises(ValueError, match="time_distributed takes"):
        nn.spiking.time_distributed(nn.dense(2)).init(key, jnp.ones((4, 3)))


def test_blocks_of_rows_have_the_outputs_and_gradients_of_all_rows():
    net, x = nn.unroll(nn.spiking.spiking_mlp(8, 2, steps=5)), uniform(jax.random.key(1), (6, 5))
    params = made(net, x)

    def total(net, params):
        return jnp.sum(jnp.sin(net(params, x).output))

    whole, parts = (
        jax.jit(jax.value_and_grad(lambda params, net=each: total(net, params)))(params)
        for each in (net, nn.spiking.row_blocks(net, 2))
    )
    assert jax.tree.all(jax.tree.map(lambda a, b: np.allclose(a, b, atol=1e-5), whole, parts))


def test_blocks_that_do_not_fit_are_refused(key):
    with pytest.raises(ValueError, match="4 rows do not divide"):
        nn.spiking.row_blocks(nn.dense(2), 4)({}, jnp.ones((6, 3)))
    with pytest.raises(ValueError, match="a layer without state"):
        nn.spiking.row_blocks(nn.batch_norm(), 2).init(key, jnp.ones((6, 3)))
    with pytest.raises(TypeError, match="unroll the cell first"):
        nn.spiking.row_blocks(nn.spiking.lif(), 2)
