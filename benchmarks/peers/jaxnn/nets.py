"""The cases of `benchmarks/nets.py` in jaxnn."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn
from benchmarks.peers import cases, data
from benchmarks.peers.jaxnn.task import Task, cross_entropy, in_dtype, stepped, trained


def lenet():
    return Task(nn.lenet(10), cross_entropy, data.labeled_images(cases.LENET))


def resnet():
    net = nn.resnet(10, 18, small=True)
    return Task(net, cross_entropy, data.labeled_images(cases.RESNET_18))


def unet():
    return Task(nn.unet(1, widths=cases.UNET_WIDTHS), nn.mse, data.unet_images())


def dcgan(dtype: Any = jnp.float32):
    generator = in_dtype(nn.gan.dcgan_generator(28), dtype)
    nets = generator, in_dtype(nn.gan.dcgan_discriminator(), dtype)
    adam = optax.adam(2e-4, b1=0.5)
    x = jnp.asarray(data.dcgan_images())
    z = jax.ShapeDtypeStruct((len(x), cases.DCGAN_NOISE), jnp.float32)
    train = nn.gan.init_train(nets, (adam, adam), jax.random.key(0), z, x)
    return nn.gan.step(nn.gan.losses(nets, cases.DCGAN_NOISE), (adam, adam)), train, x


def variational():
    coder = nn.autoencoder.dense_coder(784, 2 * cases.VAE_CODE, 400)
    return nn.autoencoder.variational(*coder)


def vae(dtype: Any = jnp.float32):
    net = in_dtype(variational(), dtype)
    likelihood = nn.autoencoder.bernoulli_log_likelihood
    loss = nn.autoencoder.variational_loss(net, cases.VAE_CODE, likelihood)
    adam, x = optax.adam(1e-3), jnp.asarray(data.vae_pixels())
    noise = jax.ShapeDtypeStruct((len(x), 1, cases.VAE_CODE), jnp.float32)
    train = nn.training.init_train(net, adam, jax.random.key(0), (x, noise))
    return nn.training.step(loss, adam), train, x


def capsnet():
    capsules = nn.capsule.capsnet(
        10, channels=64, stride=2, types=8, primary_kernel=5, primary_stride=1
    )
    net = nn.serial(capsules, nn.capsule.capsule_lengths)
    return Task(net, nn.capsule.margin_loss, data.labeled_images(cases.CAPSNET))


TASKS: dict[str, Callable[[], Task]] = {
    cases.LENET: lenet,
    cases.RESNET_18: resnet,
    cases.UNET: unet,
    cases.CAPSNET: capsnet,
}
# Nets that have their own training step: (dtype) -> (jitted step, train state, batch).
OWN_STEPS: dict[str, Callable] = {cases.DCGAN: dcgan, cases.VAE: vae}
CASES = {title: partial(trained, make) for title, make in TASKS.items()}
CASES |= {title: partial(stepped, start) for title, start in OWN_STEPS.items()}
