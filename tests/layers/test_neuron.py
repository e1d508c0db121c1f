import jax
import jax.numpy as jnp
import pytest

import jaxnn as nn

pytestmark = pytest.mark.ordinary

X = jnp.array([[1.0, 2.0], [-3.0, 0.5], [0.0, 0.0]])
PARAMS = {"w": jnp.array([2.0, -1.0]), "b": jnp.array(0.5)}


def test_the_weighted_sum_is_the_dot_product_and_the_bias():
    assert nn.weighted_sum(PARAMS, X).tolist() == [0.5, -6.0, 0.5]


@pytest.mark.parametrize(
    ("activation", "by_hand"),
    [
        (nn.identity, lambda z: z),
        (jax.nn.sigmoid, lambda z: 1 / (1 + jnp.exp(-z))),
        (jax.nn.relu, lambda z: jnp.maximum(z, 0)),
        (jax.nn.tanh, lambda z: (jnp.exp(2 * z) - 1) / (jnp.exp(2 * z) + 1)),
        (jax.nn.softplus, lambda z: jnp.log(1 + jnp.exp(z))),
    ],
)
def test_the_output_is_the_activation_of_the_weighted_sum(activation, by_hand):
    z = jnp.array([0.5, -6.0, 0.5])
    assert jnp.allclose(nn.neuron(PARAMS, X, activation), by_hand(z), atol=1e-6)


def test_the_gradient_of_the_mse_is_the_textbooks():
    t = jnp.array([1.0, 0.0, -1.0])
    gradient = jax.grad(lambda params: nn.mse(nn.neuron(params, X), t))(PARAMS)
    error = nn.neuron(PARAMS, X) - t
    assert jnp.allclose(gradient["w"], 2 / 3 * error @ X)
    assert jnp.allclose(gradient["b"], 2 / 3 * error.sum())


def test_a_neuron_is_one_column_of_a_dense_layer(key):
    params, _ = nn.dense(1).init(key, X)
    column = {"w": params["w"][:, 0], "b": params["b"][0]}
    assert jnp.allclose(nn.neuron(column, X), nn.dense(1)(params, X)[:, 0])


def test_init_fits_the_example(key):
    params = nn.init_neuron(key, jax.ShapeDtypeStruct((7, 5), jnp.float32))
    assert params["w"].shape == (5,)
    assert params["b"].shape == ()


def test_params_of_other_features_are_refused():
    with pytest.raises(ValueError, match=r"neuron takes w \[3\] and b \[\] .* feed what fits"):
        nn.neuron(PARAMS, jnp.ones((4, 3)))
    with pytest.raises(ValueError, match="params of another net"):
        nn.neuron({"w": PARAMS["w"]}, X)
    with pytest.raises(ValueError, match=r"neuron takes w"):
        nn.neuron({"w": jnp.ones((2, 1)), "b": jnp.zeros(1)}, X)


def test_integer_features_are_refused():
    with pytest.raises(TypeError, match=r"neuron takes floating features.*astype"):
        nn.neuron(PARAMS, jnp.ones((4, 2), jnp.int32))
