"""The cases of `benchmarks/nets.py` in jaxnn."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn
from benchmarks.peers import net_sizes
from benchmarks.peers.layers_in_jaxnn import Task, begin, cross_entropy, stepped


def within(net: Any, dtype: Any) -> Any:
    """The net computed in dtype."""
    return net if dtype == jnp.float32 else nn.with_dtype(net, dtype)


def lenet():
    return Task(nn.lenet(10), cross_entropy, net_sizes.labelled(net_sizes.LENET))


def resnet():
    net = nn.resnet(10, 18, small=True)
    return Task(net, cross_entropy, net_sizes.labelled(net_sizes.RESNET))


def unet():
    return Task(nn.unet(1, widths=net_sizes.LEVELS), nn.mse, net_sizes.maps())


def dcgan(dtype: Any = jnp.float32):
    nets = within(nn.gan.dcgan_generator(28), dtype), within(nn.gan.dcgan_discriminator(), dtype)
    adam = optax.adam(2e-4, b1=0.5)
    x = jnp.asarray(net_sizes.real())
    z = jax.ShapeDtypeStruct((len(x), net_sizes.LATENT), jnp.float32)
    train = nn.gan.init_train(nets, (adam, adam), jax.random.key(0), z, x)
    return nn.gan.step(nn.gan.losses(nets, net_sizes.LATENT), (adam, adam)), train, x


def coder():
    return nn.autoencoder.variational(*nn.autoencoder.dense_coder(784, 2 * net_sizes.CODE, 400))


def vae(dtype: Any = jnp.float32):
    net = within(coder(), dtype)
    loss = nn.autoencoder.variational_loss(
        net, net_sizes.CODE, nn.autoencoder.bernoulli_log_likelihood
    )
    adam, x = optax.adam(1e-3), jnp.asarray(net_sizes.binary())
    noise = jax.ShapeDtypeStruct((len(x), 1, net_sizes.CODE), jnp.float32)
    train = nn.training.init_train(net, adam, jax.random.key(0), (x, noise))
    return nn.training.step(loss, adam), train, x


def capsnet():
    reader = nn.capsule.capsnet(
        10, channels=64, stride=2, types=8, primary_kernel=5, primary_stride=1
    )
    net = nn.serial(reader, nn.capsule.capsule_lengths)
    return Task(net, nn.capsule.margin_loss, net_sizes.labelled(net_sizes.CAPSNET))


NETS: dict[str, Callable[[], Task]] = {
    net_sizes.LENET: lenet,
    net_sizes.RESNET: resnet,
    net_sizes.UNET: unet,
    net_sizes.CAPSNET: capsnet,
}
OWN: dict[str, Callable] = {net_sizes.DCGAN: dcgan, net_sizes.VAE: vae}  # steps of their own
CASES = {title: partial(stepped, lambda make=make: begin(make())) for title, make in NETS.items()}
CASES |= {title: partial(stepped, start) for title, start in OWN.items()}
