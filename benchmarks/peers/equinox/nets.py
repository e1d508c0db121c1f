"""The cases of `benchmarks/nets.py` that are simple to write in Equinox."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from benchmarks.peers import cases, data
from benchmarks.peers.equinox.layers import KEYS, cross_entropy, trained


def lenet():
    tanh = eqx.nn.Lambda(jnp.tanh)
    net = eqx.nn.Sequential(
        [
            *(eqx.nn.Conv2d(1, 6, 5, padding=2, key=next(KEYS)), tanh, eqx.nn.AvgPool2d(2, 2)),
            *(eqx.nn.Conv2d(6, 16, 5, key=next(KEYS)), tanh, eqx.nn.AvgPool2d(2, 2)),
            *(eqx.nn.Lambda(jnp.ravel), eqx.nn.Linear(400, 120, key=next(KEYS)), tanh),
            *(eqx.nn.Linear(120, 84, key=next(KEYS)), tanh, eqx.nn.Linear(84, 10, key=next(KEYS))),
        ]
    )
    x, y = data.labeled_images(cases.LENET)
    return trained(net, cross_entropy, x.transpose(0, 3, 1, 2), y)


class Vae(eqx.Module):
    encoder: eqx.nn.MLP
    decoder: eqx.nn.MLP

    def __call__(self, x, noise):
        mean, log_variance = jnp.split(self.encoder(x), 2)
        return mean, log_variance, self.decoder(mean + jnp.exp(log_variance / 2) * noise)


def vae():
    code, x, adam = cases.VAE_CODE, jnp.asarray(data.vae_pixels()), optax.adam(1e-3)
    net = Vae(
        eqx.nn.MLP(784, 2 * code, 400, 1, key=next(KEYS)),
        eqx.nn.MLP(code, 784, 400, 1, key=next(KEYS)),
    )
    params = eqx.filter(net, eqx.is_array)
    opt_state, parameters = adam.init(params), sum(leaf.size for leaf in jax.tree.leaves(params))

    @eqx.filter_jit(donate="all-except-first")
    def step(batch, net, opt_state):
        x, key = batch

        def loss(net):
            noise = jax.random.normal(key, (len(x), code))
            mean, log_variance, logits = jax.vmap(net)(x, noise)
            distortion = optax.sigmoid_binary_cross_entropy(logits, x).sum()
            rate = (mean**2 + jnp.exp(log_variance) - 1 - log_variance).sum() / 2
            return (distortion + rate) / len(x)

        value, gradient = eqx.filter_value_and_grad(loss)(net)
        updates, opt_state = adam.update(gradient, opt_state)
        return value, eqx.apply_updates(net, updates), opt_state

    def run(steps: int) -> None:
        nonlocal net, opt_state
        for i in range(steps):
            batch = x, jax.random.fold_in(jax.random.key(0), i)
            value, net, opt_state = step(batch, net, opt_state)
        jax.block_until_ready(value)

    return run, parameters


CASES = {cases.LENET: lenet, cases.VAE: vae}
