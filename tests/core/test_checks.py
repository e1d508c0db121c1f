import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnn.checks import check_choice, check_function, check_number


def test_a_word_of_the_list_is_returned_as_it_is():
    assert check_choice("mean", "pool", ("mean", "max")) == "mean"
    assert check_choice(None, "pool", ("mean", None)) is None


@pytest.mark.parametrize("value", ["meen", "MEAN"])
def test_a_word_close_to_one_of_the_list_is_told_which(value):
    with pytest.raises(ValueError, match=r"pool is one of 'mean', 'max', got .* mean 'mean'\?"):
        check_choice(value, "pool", ("mean", "max"))


@pytest.mark.parametrize("value", [1, True, None, jnp.ones(3), ["mean"]])
def test_what_is_not_a_word_is_refused_with_the_list(value):
    with pytest.raises(ValueError, match="pool is one of 'mean', 'max'"):
        check_choice(value, "pool", ("mean", "max"))


def test_true_does_not_pass_for_one():
    with pytest.raises(ValueError, match="got True"):
        check_choice(True, "mode", (0, 1))


@pytest.mark.parametrize("value", [0, 0.5, np.float32(1), np.array(1), jnp.array(0.5)])
def test_a_number_in_range_is_returned_as_it_is(value):
    assert check_number(value, "rate", least=0, most=1) is value


def test_a_traced_number_is_let_through():
    assert jax.jit(lambda rate: check_number(rate, "rate", most=1))(2.0) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.0])
def test_a_number_out_of_range_is_refused_with_the_range(value):
    with pytest.raises(ValueError, match="finite number of at least 0 and less than 1, got"):
        check_number(value, "rate", least=0, below=1)


@pytest.mark.parametrize("value", [True, "1", None, jnp.ones(2), 1j])
def test_what_is_not_a_number_is_refused(value):
    with pytest.raises(TypeError, match="rate must be a number, got"):
        check_number(value, "rate")


@pytest.mark.parametrize("value", [None, "relu", 3, []])
def test_what_cannot_be_called_is_refused(value):
    with pytest.raises(TypeError, match="activation must be a function, got"):
        check_function(value, "activation")
    assert check_function(abs, "activation") is abs
