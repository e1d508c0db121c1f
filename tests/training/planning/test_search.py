# pyright: reportArgumentType=false, reportOptionalOperand=false, reportOperatorIssue=false
"""The search for what fits."""

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxnn as nn
from jaxnn.training.planning.search import table

spec = jax.ShapeDtypeStruct
OPTIMIZER = optax.adam(1e-3)
RECIPES = {"data_parallel": nn.training.data_parallel, "fully_sharded": nn.training.fully_sharded}


def make(width, remat, rows):
    block = nn.serial(nn.dense(4 * width), jax.nn.tanh, nn.dense(4 * width), jax.nn.tanh)
    block = nn.serial(block, nn.dense(width))
    net = nn.serial(*[nn.remat(block) if remat else block] * 2)
    x, key = spec((rows, width), jnp.float32), jax.random.key(0)
    train = jax.eval_shape(lambda: nn.training.init_train(net, OPTIMIZER, key, x))
    return nn.training.step(nn.training.supervised(net, nn.mse), OPTIMIZER), train, (x, x)


def search(width, rows, **options):
    options = {"topology": "l4:8", "compiler": False, "shardings": RECIPES} | options
    return nn.training.search_plans(lambda *given: make(width, *given), rows, **options)


@pytest.fixture(scope="module")
def tight():
    return search(64, 2**26)


def test_rows_are_halved_until_they_fit(tight):
    assert all(choice.plan.fits for choice in tight)
    assert all(2**26 % choice.rows == 0 for choice in tight)
    assert min(choice.rows for choice in tight) < 2**26


def test_to_recompute_activations_leaves_room_for_more_rows(tight):
    rows = {(choice.sharding, choice.remat): choice.rows for choice in tight}
    for name in RECIPES:
        assert rows[name, True] > rows[name, False]
        assert rows["fully_sharded", True] >= rows["data_parallel", True]


def test_the_fastest_of_those_that_fit_is_first(tight):
    rates = [choice.plan.rate for choice in tight]
    assert rates == sorted(rates, reverse=True)


def test_what_never_fits_comes_last_with_its_fewest_rows():
    found = search(2**15, 16, shardings={"data_parallel": RECIPES["data_parallel"]})
    assert [(choice.plan.fits, choice.rows) for choice in found] == [(False, 8)] * 2


def test_a_table_has_a_line_for_each_choice(tight):
    lines = table(tight).split("\n")
    assert len(lines) == 1 + len(tight)
    assert lines[0].split()[:4] == ["sharding", "remat", "rows", "peak"]
    assert "estimated" in lines[1]


def test_a_net_without_a_form_that_recomputes_is_tried_as_it_is():
    found = nn.training.search_plans(
        lambda remat, rows: None if remat else make(16, remat, rows),
        16,
        topology="l4:8",
        shardings=RECIPES,
        compiler=False,
    )
    assert {choice.remat for choice in found} == {False}


def test_the_compiler_has_the_last_word_where_it_is_installed():
    found = search(
        16, 16, topology="cpu:8", compiler=None, shardings={"rows": RECIPES["data_parallel"]}
    )
    assert found[0].plan.compiled is not None
    assert found[1].plan.compiled is None


def test_rows_that_no_sharding_divides_are_refused():
    with pytest.raises(ValueError, match="rows"):
        search(16, 12)
