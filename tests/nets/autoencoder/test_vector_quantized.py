# pyright: reportArgumentType=false
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn as nn

BOOK = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
Z = np.random.default_rng(1).normal(size=(4, 5, 3)).astype(np.float32)


def book_init(key, shape, dtype):
    return jnp.asarray(BOOK, dtype)


def by_gradient():
    net = nn.autoencoder.vector_quantizer(7, codebook_init=book_init)
    return net, *net.init(jax.random.key(0), jnp.asarray(Z))


def by_averages(decay):
    net = nn.autoencoder.vector_quantizer(7, decay=decay, codebook_init=book_init)
    return net, *net.init(jax.random.key(0), jnp.asarray(Z))


def choice(z, book):
    """The nearest by brute force."""
    return ((z[..., None, :] - book) ** 2).sum(-1).argmin(-1)


@pytest.mark.parametrize("make", [by_gradient, lambda: by_averages(0.9)], ids=["params", "state"])
def test_the_code_is_the_nearest_vector_of_the_book(make):
    net, params, state = make()
    chosen, after = net.apply(params, state, jnp.asarray(Z))
    assert np.array_equal(chosen.index, choice(Z, BOOK))
    assert np.allclose(chosen.code, BOOK[choice(Z, BOOK)], atol=1e-6)
    distance = ((Z - BOOK[choice(Z, BOOK)]) ** 2).mean((1, 2))
    assert np.allclose(chosen.commitment, distance, rtol=1e-5)
    assert np.allclose(chosen.codebook, distance if params else 0, rtol=1e-5)
    assert jax.tree.map(np.array_equal, after, state) == jax.tree.map(lambda _: True, state)


def test_the_first_of_equally_near_vectors_is_chosen():
    net = nn.autoencoder.vector_quantizer(3)
    params = {"codebook": jnp.array([[2.0], [1.0], [1.0]])}
    assert net(params, jnp.array([[0.0], [1.5], [9.0]])).index.tolist() == [1, 0, 0]


def test_the_code_passes_its_gradient_on_to_z_and_not_to_the_book():
    net, params, _ = by_gradient()
    weights = jnp.asarray(np.random.default_rng(2).normal(size=Z.shape), jnp.float32)
    of_book, of_z = jax.grad(lambda p, z: (weights * net(p, z).code).sum(), (0, 1))(
        params, jnp.asarray(Z)
    )
    assert jnp.array_equal(of_z, weights)
    assert not of_book["codebook"].any()


def test_each_term_draws_one_side_to_the_other():
    net, params, _ = by_gradient()
    index = choice(Z, BOOK)
    apart = Z - BOOK[index]

    def total(term):
        return jax.grad(lambda p, z: getattr(net(p, z), term).sum(), (0, 1))(params, jnp.asarray(Z))

    of_book, of_z = total("commitment")
    assert not of_book["codebook"].any()
    assert np.allclose(of_z, 2 * apart / 15, atol=1e-6)
    of_book, of_z = total("codebook")
    assert not of_z.any()
    wanted = np.zeros_like(BOOK)
    np.add.at(wanted, index, -2 * apart / 15)
    assert np.allclose(of_book["codebook"], wanted, atol=1e-6)


def test_moving_averages_are_those_of_sums_and_counts():
    net, params, state = by_averages(0.8)
    counts, book = np.ones(7), BOOK.astype(np.float64)
    sums = book.copy()
    for i in range(3):
        z = np.random.default_rng(i).normal(size=Z.shape).astype(np.float32)
        chosen = np.eye(7)[choice(z, book).ravel()]
        counts = 0.8 * counts + 0.2 * chosen.sum(0)
        sums = 0.8 * sums + 0.2 * chosen.T @ z.reshape(-1, 3)
        book = sums / counts[:, None]
        _, state = net.apply(params, state, jnp.asarray(z), train=True)
        assert np.allclose(state["codebook"], book, atol=1e-5)
        assert np.allclose(state["counts"], counts, atol=1e-5)


def test_without_memory_each_code_is_the_mean_of_those_that_chose_it():
    net, params, state = by_averages(0.0)
    _, state = net.apply(params, state, jnp.asarray(Z), train=True)
    index = choice(Z, BOOK)
    wanted = [Z[index == k].mean(0) if (index == k).any() else BOOK[k] for k in range(7)]
    assert np.allclose(state["codebook"], wanted, atol=1e-6)


def test_a_code_that_none_chooses_stays_where_it_is_for_ever():
    net = nn.autoencoder.vector_quantizer(2, decay=0.5)
    state = {"codebook": jnp.array([[0.0], [9.0]]), "counts": jnp.ones(2)}
    step = jax.jit(lambda state: net.apply((), state, jnp.ones((8, 1)), train=True)[1])
    for _ in range(300):  # 0.5^300 is no float32
        state = step(state)
    assert state["codebook"].tolist() == [[1.0], [9.0]]


def test_perplexity_is_the_exponential_of_the_entropy():
    share = np.array([0.5, 0.3, 0.2])
    index = jnp.array([4] * 5 + [0] * 3 + [9] * 2).reshape(2, 5)
    assert np.allclose(nn.autoencoder.perplexity(index), np.exp(-(share * np.log(share)).sum()))


def test_the_loss_is_the_sum_of_its_terms(key):
    net = nn.autoencoder.vector_quantized(
        nn.dense(3), nn.autoencoder.vector_quantizer(7), nn.dense(6)
    )
    x = jax.random.normal(key, (8, 6))
    params, _ = net.init(key, x)
    output, chosen = net(params, x)
    value, (_, metrics) = nn.autoencoder.quantized_loss(net, commitment=0.5)(params, (), x)
    assert jnp.allclose(metrics["reconstruction"], nn.mse(output, x))
    # Both terms have the same value: what differs is where their gradients go.
    assert jnp.allclose(value, metrics["reconstruction"] + 1.5 * chosen.commitment.mean())
    assert metrics["perplexity"] == nn.autoencoder.perplexity(chosen.index)


@pytest.mark.parametrize("decay", [None, 0.9])
def test_the_book_learns_in_a_train_step(decay, key):
    import optax

    net = nn.autoencoder.vector_quantized(
        nn.dense(3), nn.autoencoder.vector_quantizer(7, decay=decay), nn.dense(6)
    )
    x, optimizer = jax.random.normal(key, (64, 6)), optax.adam(0.01)
    train = nn.training.init_train(net, optimizer, key, x)
    step = nn.training.step(nn.autoencoder.quantized_loss(net), optimizer)
    end = nn.training.fit(step, train, x, steps=100, batch_size=64, every=50)
    assert end.history[-1]["reconstruction"] < 0.8 * end.history[0]["reconstruction"]
    held = ["params", "state"][decay is not None]
    before, after = (getattr(each, held)["quantizer"]["codebook"] for each in (train, end.train))
    assert not jnp.allclose(before, after)


# Bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: nn.autoencoder.vector_quantizer(0),
            "vector_quantizer: codes must be a whole number of at",
        ),
        (
            lambda: nn.autoencoder.vector_quantizer(8, decay=1.0),
            "decay, unless it is None, must be a finite number of at least 0 and less",
        ),
        (
            lambda: nn.autoencoder.quantized_loss(None, commitment=-1.0),
            "commitment must be a finite number of at least 0",
        ),
    ],
)
def test_a_bad_argument_is_refused_when_it_is_built(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_vectors_of_another_width_are_refused(key):
    net, params, _ = by_gradient()
    with pytest.raises(ValueError, match="has vectors of 3 features, got float32.4,2."):
        net(params, jnp.ones((4, 2)))
    with pytest.raises(TypeError, match="vector_quantizer takes floating features"):
        net.init(key, jnp.ones((4, 3), int))
    with pytest.raises(ValueError, match="vector_quantizer takes .batch, ..., features., got"):
        net.init(key, jnp.ones((4, 0)))
    with pytest.raises(ValueError, match="keeps state and got none"):
        by_averages(0.9)[0]((), jnp.asarray(Z))
