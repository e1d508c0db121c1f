# pyright: reportArgumentType=false, reportOptionalOperand=false, reportOperatorIssue=false
# pyright: reportOptionalMemberAccess=false
"""The estimate of memory, beside what XLA says of optimized programs for this CPU."""

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxnn as nn
from jaxnn.training.planning.liveness import temporaries
from jaxnn.training.planning.programs import traced

spec = jax.ShapeDtypeStruct
SQUARE = spec((64, 64), jnp.float32)
ONE = 64 * 64 * 4


def bytes_of(function, *arguments):
    return temporaries(traced(function, "cpu", *arguments))


def test_a_chain_of_products_needs_the_one_that_is_read_and_the_one_that_is_written():
    assert bytes_of(lambda x: x @ x @ x @ x, SQUARE) == 2 * ONE


def test_elementwise_operations_need_nothing():
    assert bytes_of(lambda x: jnp.tanh(x * 2 + 1), SQUARE) == 0


def test_a_loop_needs_what_it_stacks_and_its_body_once():
    def step(x):
        y, stack = jax.lax.scan(lambda c, _: (c @ c @ c, c @ x), x, None, length=5)
        return (stack @ x).sum() + y

    assert bytes_of(step, SQUARE) == (5 + 5 + 1) * ONE


NETS = {
    "mlp": (lambda: nn.mlp(256, 256, 10), (128, 300), (128,)),
    "gpt2": (lambda: nn.gpt2(256, 64, 4, 4, length=64), (4, 64), (4, 64)),
    "gpt2 remat": (lambda: nn.gpt2(256, 64, 4, 4, length=64, remat=True), (4, 64), (4, 64)),
    "llama": (lambda: nn.llama(256, 64, 4, 4, mlp_width=128), (4, 64), (4, 64)),
    "lstm": (lambda: nn.serial(nn.unroll(nn.lstm(64)), nn.dense(10)), (16, 20, 32), (16, 20)),
}
SHORT = ("mlp", "gpt2 remat")
LONG = [pytest.param(name, marks=pytest.mark.long) for name in NETS if name not in SHORT]


@pytest.mark.parametrize("name", [*SHORT, *LONG])
def test_a_step_takes_what_xla_says_within_15_percent(name):
    make, rows, labels = NETS[name]
    net, optimizer = make(), optax.adam(1e-3)
    x = spec(rows, jnp.int32 if "gpt" in name or name == "llama" else jnp.float32)
    batch = x, spec(labels, jnp.int32)
    loss = nn.training.supervised(net, optax.softmax_cross_entropy_with_integer_labels)
    step = nn.training.step(loss, optimizer)
    key = jax.random.key(0)
    train = jax.eval_shape(lambda: nn.training.init_train(net, optimizer, key, x))
    lowered = jax.jit(step, donate_argnums=0).lower(train, batch)
    options = {"xla_backend_optimization_level": 3, "xla_cpu_use_fusion_emitters": True}
    memory = lowered.compile(compiler_options=options).memory_analysis()
    arguments = nn.nbytes(train) + nn.nbytes(batch)
    assert memory.argument_size_in_bytes == pytest.approx(arguments, rel=0.01)
    peak = arguments + memory.temp_size_in_bytes
    assert arguments + bytes_of(step, train, batch) == pytest.approx(peak, rel=0.15)
