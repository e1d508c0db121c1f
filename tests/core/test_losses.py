import jax.numpy as jnp
import pytest

import jaxnn as nn

pytestmark = pytest.mark.ordinary


def test_mse_is_the_mean_over_all_elements():
    y, t = jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.zeros((2, 2))
    assert nn.mse(y, t) == (1 + 4 + 9 + 16) / 4


def test_with_one_output_mse_is_the_textbooks_sum_over_samples_by_m():
    y, t = jnp.array([[1.0], [2.0], [4.0]]), jnp.array([[0.0], [2.0], [1.0]])
    m = len(y)
    assert jnp.allclose(nn.mse(y, t), jnp.sum((y - t) ** 2) / m)


def test_targets_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"mse .* float32\[4,1\] against float32\[4\].*reshape"):
        nn.mse(jnp.ones((4, 1)), jnp.ones(4))


def test_accuracy_is_the_share_of_rows_that_are_right():
    logits = jnp.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert jnp.allclose(nn.accuracy(logits, jnp.array([1, 0, 0])), 2 / 3)


@pytest.mark.parametrize("labels", [jnp.zeros((3, 1), int), jnp.zeros(2, int), jnp.zeros(3)])
def test_accuracy_takes_one_integer_label_a_row(labels):
    with pytest.raises(ValueError, match="one integer label a row"):
        nn.accuracy(jnp.ones((3, 2)), labels)
