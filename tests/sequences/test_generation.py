# pyright: reportArgumentType=false
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn
from jaxnn.sequences.generation import keep_top_k, keep_top_p

VOCABULARY, PROMPT, STEPS = 7, 4, 5
KEY = jax.random.key(3)


def transformer(capacity=12, window=None):
    attention = nn.attention(2, causal=True, rotary=nn.rotary(), capacity=capacity, window=window)
    block = nn.residual(nn.stack(nn.layer_norm(), attention))
    return nn.stack(nn.embedding(VOCABULARY, 8), nn.repeat(block, 2), nn.dense(VOCABULARY))


CELLS = {
    "lstm": lambda: nn.stack(nn.embedding(VOCABULARY, 8), nn.lstm(8), nn.dense(VOCABULARY)),
    "transformer": transformer,
    "ring": lambda: transformer(capacity=4, window=4),
}


@functools.cache
def made(name, rows=3, scale=2.0):
    """A cell, its params and a prompt; params are scaled, so that tokens are not all the same."""
    cell, prompt = CELLS[name](), jax.random.randint(KEY, (rows, PROMPT), 0, VOCABULARY)
    params, _ = cell.init(jax.random.key(0), prompt)
    return cell, jax.tree.map(lambda leaf: scale * leaf, params), prompt


def constant(logits):
    """A cell whose logits are always these."""

    def apply(params, state, carry_x, *, key=None, train=False):
        return (carry_x[0], jnp.broadcast_to(logits, (*carry_x[1].shape, len(logits)))), ()

    return nn.Cell(lambda key, x: ((), ()), lambda params, x: (), apply)


def counting(cell, traces):
    """The cell, and a note of the chunk each time it is traced."""

    def apply(params, state, carry_x, *, key=None, train=False):
        traces.append(carry_x[1].shape)
        return cell.apply(params, state, carry_x)

    return nn.Cell(cell.init, cell.carry, apply)


each = pytest.mark.parametrize("name", CELLS)


@each
@pytest.mark.first(1)
def test_greedy_tokens_are_those_of_the_whole_sequence(name):
    cell, params, prompt = made(name)
    tokens, lengths = nn.generate(cell, params, (), prompt, steps=STEPS, temperature=0)
    whole = jax.jit(nn.unroll(cell))(params, jnp.concatenate([prompt, tokens], axis=1))
    assert tokens.tolist() == whole[:, PROMPT - 1 : -1].argmax(-1).tolist()
    assert lengths.tolist() == [STEPS] * 3
    assert len(np.unique(tokens)) > 2


@each
@pytest.mark.first(1)
def test_a_padded_row_goes_on_as_if_there_were_no_padding(name):
    cell, params, prompt = made(name)
    starts = jnp.array([4, 1, 3])
    prompt = jnp.where(nn.length_mask(starts, PROMPT), prompt, 1_000)
    tokens, _ = nn.generate(cell, params, (), prompt, steps=STEPS, lengths=starts, temperature=0)
    x = np.zeros((3, PROMPT + STEPS), int)
    for row, start in enumerate(starts.tolist()):
        x[row, : start + STEPS] = [*prompt[row, :start], *tokens[row]]
    whole = np.asarray(jax.jit(nn.unroll(cell))(params, jnp.asarray(x)).argmax(-1))
    for row, start in enumerate(starts.tolist()):
        assert tokens[row].tolist() == whole[row, start - 1 : start + STEPS - 1].tolist()


@pytest.mark.parametrize("lengths", [None, [4, 2, 3]])
def test_a_row_ends_with_its_stop(lengths):
    cell, params, prompt = made("lstm")
    lengths = None if lengths is None else jnp.array(lengths)
    given = {"steps": 9, "lengths": lengths, "temperature": 0}
    free = np.asarray(nn.generate(cell, params, (), prompt, **given).tokens)
    stop = int(free[0, 1]), int(free[1, 4])
    tokens, ends = nn.generate(cell, params, (), prompt, **given, stop=stop, pad=-7)
    for row in range(3):
        first = next((i for i, token in enumerate(free[row]) if token in stop), 8) + 1
        assert ends[row] == first
        assert tokens[row].tolist() == [*free[row, :first], *[-7] * (9 - first)]
    assert ends[0] < 9


def test_it_ends_when_all_rows_have_stopped():
    fed = []

    def apply(params, state, carry_x, *, key=None, train=False):
        jax.debug.callback(lambda time: fed.append(int(time)), carry_x[0] + carry_x[1].shape[1])
        return (carry_x[0] + carry_x[1].shape[1], jax.nn.one_hot(carry_x[1] + 1, 9)), ()

    follow = nn.Cell(lambda key, x: ((), ()), lambda params, x: jnp.zeros((), int), apply)
    prompt = jnp.array([[0, 1], [0, 2]])
    out = nn.generate(follow, (), (), prompt, steps=6, temperature=0, stop=4)
    assert out.tokens.tolist() == [[2, 3, 4, 0, 0, 0], [3, 4, 0, 0, 0, 0]]
    assert out.lengths.tolist() == [3, 2]
    jax.effects_barrier()
    assert fed == [2, 3, 4]  # the prompt, and two of the tokens


def test_draws_have_the_frequencies_of_the_logits():
    p, rows = np.array([0.5, 0.25, 0.15, 0.07, 0.03]), 4000
    cell, prompt = constant(jnp.log(jnp.asarray(p))), jnp.zeros((rows, 1), int)
    cold = p**2 / (p**2).sum()
    for how, expected in (
        ({}, p),
        ({"temperature": 0.5}, cold),
        ({"top_k": 2}, np.array([2, 1, 0, 0, 0]) / 3),
        ({"top_p": 0.8}, np.array([0.5, 0.25, 0.15, 0, 0]) / 0.9),
        ({"top_k": 3, "top_p": 0.8}, np.array([2, 1, 0, 0, 0]) / 3),  # of three, two hold 0.83
        ({"temperature": 0.5, "top_p": 0.8}, np.array([4, 1, 0, 0, 0]) / 5),  # two hold 0.91
    ):
        tokens, _ = nn.generate(cell, (), (), prompt, steps=2, key=KEY, **how)
        seen = np.bincount(np.ravel(tokens), minlength=5)
        drawn = expected > 0
        assert not seen[~drawn].any()
        wanted = 2 * rows * expected[drawn]
        # The mean is the number of classes less one; 25 is beyond the 0.9999 quantile of all.
        assert ((seen[drawn] - wanted) ** 2 / wanted).sum() < 25


def test_rows_and_steps_are_drawn_apart():
    tokens, _ = nn.generate(
        constant(jnp.zeros(9)), (), (), jnp.zeros((8, 1), int), steps=8, key=KEY
    )
    assert len({tuple(row) for row in tokens.tolist()}) == 8
    assert len({tuple(row) for row in tokens.T.tolist()}) == 8
    again, _ = nn.generate(constant(jnp.zeros(9)), (), (), jnp.zeros((8, 1), int), steps=8, key=KEY)
    assert tokens.tolist() == again.tolist()


def filtered(logits, k, p):
    """Sorting and counting in NumPy."""
    kept = np.full(logits.shape, -np.inf)
    for row in np.ndindex(logits.shape[:-1]):
        order = np.argsort(-logits[row])[:k]
        share = np.exp(logits[row][order])
        before = np.cumsum(share) - share
        chosen = order[before < p * share.sum()]
        kept[row][chosen] = logits[row][chosen]
    return kept


@pytest.mark.parametrize(("k", "p"), [(1, 1.0), (4, 1.0), (17, 0.5), (17, 0.01), (6, 0.7), (17, 1)])
def test_filters_keep_what_a_loop_in_numpy_keeps(k, p):
    logits = jax.random.normal(KEY, (5, 3, 17)) * 2
    kept = keep_top_p(keep_top_k(logits, k), p)
    np.testing.assert_array_equal(kept, filtered(np.asarray(logits), k, p))


def test_filters_keep_what_is_equal():
    assert np.isfinite(keep_top_k(jnp.array([1.0, 2.0, 2.0, 0.0]), 1)).tolist() == [0, 1, 1, 0]
    assert np.isfinite(keep_top_p(jnp.zeros(4), 0.1)).all()
    assert np.isfinite(keep_top_p(jnp.array([0.0, 5.0]), 1e-12)).tolist() == [0, 1]


def test_it_runs_within_jit_and_gives_the_same():
    cell, params, prompt = made("lstm")
    lengths = jnp.array([4, 1, 3])

    @jax.jit
    def run(params, prompt, lengths, key):
        return nn.generate(cell, params, (), prompt, steps=STEPS, lengths=lengths, key=key, top_k=3)

    out = nn.generate(cell, params, (), prompt, steps=STEPS, lengths=lengths, key=KEY, top_k=3)
    within = run(params, prompt, lengths, KEY)
    assert within.tokens.tolist() == out.tokens.tolist()
    assert within.lengths.tolist() == out.lengths.tolist()


def test_nothing_is_compiled_anew_for_the_same_shapes():
    cell, params, prompt = made("transformer")
    traces = []
    cell = counting(cell, traces)

    def run(prompt, key, **how):
        return nn.generate(cell, params, (), prompt, steps=STEPS, key=key, stop=(1, 2), **how)

    run(prompt, KEY, temperature=0.9, top_p=0.8)
    assert traces.count((3, 1)) == 1  # the step is traced once, whatever the number of steps
    before = len(traces)
    run(prompt[::-1], jax.random.key(4), temperature=0.3, top_p=0.5)
    assert len(traces) == before


def test_state_is_read_and_not_kept():
    cell = nn.serial(nn.embedding(VOCABULARY, 8), nn.batch_norm(), nn.lstm(8), nn.dense(VOCABULARY))
    prompt = jnp.ones((2, 3), int)
    params, state = cell.init(KEY, prompt)
    tokens, _ = nn.generate(cell, params, state, prompt, steps=3, temperature=0)
    x = jnp.concatenate([prompt, tokens], axis=1)
    whole, _ = nn.unroll(cell).apply(params, state, x)
    assert tokens.tolist() == whole[:, 2:-1].argmax(-1).tolist()


def decoder():
    """Tokens beside a context: its mean is added to their vectors."""

    def flow(f, x):
        tokens, context, mask = x
        context = jnp.where(mask[..., None], context, 0).mean(1, keepdims=True)
        return f.out(f.lstm(f.embed(tokens) + context))

    parts = {"embed": nn.embedding(VOCABULARY, 8), "lstm": nn.lstm(8), "out": nn.dense(VOCABULARY)}
    return nn.wire(flow, **parts)


def beside(tokens, context):
    return tokens, *context


def test_a_context_enters_with_every_chunk():
    cell, prompt = decoder(), jnp.ones((4, 1), int)
    context = 3 * jax.random.normal(KEY, (4, 6, 8)), jnp.arange(24).reshape(4, 6) % 5 > 1
    params, _ = cell.init(KEY, (prompt, *context))
    given = {"steps": STEPS, "inputs": beside, "context": context}
    tokens, _ = nn.generate(cell, params, (), prompt, temperature=0, **given)
    whole = jax.jit(nn.unroll(cell))(params, (jnp.concatenate([prompt, tokens], axis=1), *context))
    assert tokens.tolist() == whole[:, :-1].argmax(-1).tolist()
    best = nn.beam_search(cell, params, (), prompt, beams=1, **given)
    assert best.tokens[:, 0].tolist() == tokens.tolist()


def test_tokens_and_lengths_that_are_unknown_until_it_runs_end_their_row():
    cell, params, prompt = made("lstm")
    prompt, lengths = prompt.at[1, 2].set(VOCABULARY), jnp.array([2, 4, 0])
    run = jax.jit(
        lambda prompt, lengths: nn.generate(
            cell, params, (), prompt, steps=3, lengths=lengths, temperature=0
        )
    )
    tokens, ends = run(prompt, lengths)
    assert tokens[1:].tolist() == [[-1, 0, 0], [-1, 0, 0]]
    assert ends.tolist() == [3, 1, 1]


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int16])
def test_prompts_of_any_integers(dtype):
    cell, params, prompt = made("lstm")
    out = nn.generate(cell, params, (), prompt.astype(dtype), steps=3, temperature=0)
    expected = nn.generate(cell, params, (), prompt, steps=3, temperature=0)
    assert out.tokens.dtype == jnp.int32
    assert out.tokens.tolist() == expected.tokens.tolist()


def test_half_precision_is_drawn_from_in_float32():
    cell = nn.with_dtype(CELLS["lstm"](), jnp.bfloat16)
    params, _ = cell.init(KEY, jnp.ones((2, 3), int))
    out = nn.beam_search(cell, params, (), jnp.ones((2, 3), int), steps=2, beams=2)
    assert out.scores.dtype == jnp.float32
    nn.generate(cell, params, (), jnp.ones((2, 3), int), steps=2, key=KEY, top_p=0.5)


ONES = jnp.ones((2, 3), int)
BAD = {
    "no cell": ({"cell": nn.dense(3)}, TypeError, "takes a Cell.*capacity"),
    "empty prompt": ({"prompt": ONES[:, :0]}, ValueError, "at least one token, got int32.2,0"),
    "no rows": ({"prompt": ONES[:0]}, ValueError, "at least one token"),
    "one sequence": ({"prompt": ONES[0]}, ValueError, r"a prompt \[batch, time\]"),
    "floats": ({"prompt": ONES * 1.0}, TypeError, "a prompt of integers, got float32"),
    "unknown token": ({"prompt": ONES + 6}, ValueError, r"holds tokens of 7 to 7.*\[0, 7\)"),
    "negative token": ({"prompt": ONES - 2}, ValueError, r"holds tokens of -1 to -1"),
    "no steps": ({"steps": 0}, ValueError, "steps must be a whole number of at least 1"),
    "no length": (
        {"lengths": jnp.array([3, 0])},
        ValueError,
        "of 1 to 3 tokens.*lengths of 0 to 3",
    ),
    "long length": ({"lengths": jnp.array([3, 4])}, ValueError, "lengths of 3 to 4"),
    "one length": ({"lengths": jnp.array([3])}, ValueError, "one length for each of 2 rows"),
    "float lengths": ({"lengths": jnp.ones(2)}, TypeError, "takes lengths of integers"),
    "unknown stop": ({"stop": (1, 7)}, ValueError, r"stop \(1, 7\) is outside the vocabulary"),
    "negative stop": ({"stop": -1}, ValueError, "stop must be a whole number of at least 0"),
}
BAD_DRAWS = {
    "cold": ({"temperature": -0.1}, ValueError, "temperature must be finite, 0 or more, got -0.1"),
    "hot": ({"temperature": float("inf")}, ValueError, "temperature must be finite"),
    "no key": ({"key": None}, ValueError, "pass key=.*temperature=0"),
    "top 0": ({"top_k": 0}, ValueError, "top_k must be a whole number of at least 1, got 0"),
    "top 8": ({"top_k": 8}, ValueError, r"top_k must be within \[1, 7\].*got 8"),
    "no share": ({"top_p": 0.0}, ValueError, r"in \(0, 1\], got 0.0"),
    "too much": ({"top_p": 1.1}, ValueError, r"in \(0, 1\], got 1.1"),
}
BAD_BEAMS = {
    "no beams": ({"beams": 0}, ValueError, "beams must be a whole number of at least 1"),
    "penalty": ({"length_penalty": -1.0}, ValueError, "length_penalty must be finite, 0 or more"),
}


@pytest.mark.parametrize(
    ("search", "how", "error", "says"),
    [(False, *case) for case in (BAD | BAD_DRAWS).values()]
    + [(True, *case) for case in (BAD | BAD_BEAMS).values()],
)
def test_bad_input_is_refused(search, how, error, says):
    cell, params, _ = made("lstm")
    own = {"beams": 2} if search else {"key": KEY}
    given = {"cell": cell, "prompt": ONES, "steps": 2, **own, **how}
    cell, prompt = given.pop("cell"), given.pop("prompt")
    with pytest.raises(error, match=says):
        (nn.beam_search if search else nn.generate)(cell, params, (), prompt, **given)


@pytest.mark.parametrize("search", [False, True])
def test_what_exceeds_a_cache_is_refused_before_it_runs(search):
    cell, params, prompt = made("transformer")
    how = {"beams": 2} if search else {"temperature": 0}
    run = nn.beam_search if search else nn.generate
    fits = jax.eval_shape(lambda: run(cell, params, (), prompt, steps=9, **how))
    assert fits.tokens.shape[-1] == 9  # of which the last does not enter
    with pytest.raises(
        ValueError, match="4 tokens and 10 more do not fit: attention: a chunk of 13"
    ):
        run(cell, params, (), prompt, steps=10, **how)
    with pytest.raises(ValueError, match="a chunk of 16 steps overflows a cache of 12"):
        run(cell, params, (), jnp.tile(prompt, 4), steps=1, **how)


def test_what_gives_no_logits_is_refused():
    cell = nn.serial(nn.embedding(5, 8), nn.lstm(8), lambda y: y[:, -1])
    params, _ = cell.init(KEY, ONES)
    with pytest.raises(ValueError, match=r"to logits \[batch, time, vocabulary\], got float32"):
        nn.generate(cell, params, (), ONES, steps=2, temperature=0)
