"""The cases of `benchmarks/nets.py` in Flax NNX."""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from benchmarks.peers import cases, data
from benchmarks.peers.flax.layers import Block, cross_entropy, mse, trained


class LeNet(nnx.Module):
    def __init__(self, rngs):
        self.conv1 = nnx.Conv(1, 6, (5, 5), rngs=rngs)
        self.conv2 = nnx.Conv(6, 16, (5, 5), padding="VALID", rngs=rngs)
        shapes = ((400, 120), (120, 84), (84, 10))
        self.dense = nnx.List([nnx.Linear(*shape, rngs=rngs) for shape in shapes])

    def __call__(self, x):
        for conv in (self.conv1, self.conv2):
            x = nnx.avg_pool(jnp.tanh(conv(x)), (2, 2), (2, 2))
        x = x.reshape(len(x), -1)
        for dense in self.dense[:-1]:
            x = jnp.tanh(dense(x))
        return self.dense[-1](x)


class ResNet18(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(3, 64, (3, 3), padding=1, use_bias=False, rngs=rngs)
        self.norm, self.dense = nnx.BatchNorm(64, rngs=rngs), nnx.Linear(512, 10, rngs=rngs)
        blocks = []
        for i, width in enumerate((64, 128, 256, 512)):
            blocks.append(Block(max(width // 2, 64), width, 2 if i else 1, rngs))
            blocks.append(Block(width, width, 1, rngs))
        self.blocks = nnx.List(blocks)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.conv(x)))
        for block in self.blocks:
            x = block(x)
        return self.dense(x.mean((1, 2)))


class Convs(nnx.Module):
    def __init__(self, channels, width, rngs):
        conv = partial(nnx.Conv, kernel_size=(3, 3), use_bias=False, rngs=rngs)
        self.conv1, self.norm1 = conv(channels, width), nnx.BatchNorm(width, rngs=rngs)
        self.conv2, self.norm2 = conv(width, width), nnx.BatchNorm(width, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm1(self.conv1(x)))
        return nnx.relu(self.norm2(self.conv2(x)))


class UNet(nnx.Module):
    def __init__(self, rngs):
        levels, channels = cases.UNET_WIDTHS, (1, *cases.UNET_WIDTHS[:-1])
        pairs = list(zip(channels, levels, strict=True))
        self.down = nnx.List([Convs(a, b, rngs) for a, b in pairs])
        self.rise = nnx.List(
            [nnx.ConvTranspose(b, a, (2, 2), strides=(2, 2), rngs=rngs) for a, b in pairs[1:]]
        )
        self.up = nnx.List([Convs(2 * a, a, rngs) for a in levels[:-1]])
        self.out = nnx.Conv(levels[0], 1, (1, 1), rngs=rngs)

    def __call__(self, x):
        skipped = []
        for i, down in enumerate(self.down):
            x = down(nnx.max_pool(x, (2, 2), (2, 2)) if i else x)
            skipped.append(x)
        for i in reversed(range(len(self.up))):
            x = self.up[i](jnp.concatenate([skipped[i], self.rise[i](x)], -1))
        return self.out(x)


class Generator(nnx.Module):
    def __init__(self, rngs):
        self.dense = nnx.Linear(cases.DCGAN_NOISE, 6272, use_bias=False, rngs=rngs)
        self.norm1, self.norm2 = nnx.BatchNorm(128, rngs=rngs), nnx.BatchNorm(64, rngs=rngs)
        up = partial(nnx.ConvTranspose, kernel_size=(4, 4), strides=(2, 2), rngs=rngs)
        self.up1, self.up2 = up(128, 64, use_bias=False), up(64, 1)

    def __call__(self, z):
        x = nnx.relu(self.norm1(self.dense(z).reshape(-1, 7, 7, 128)))
        return jnp.tanh(self.up2(nnx.relu(self.norm2(self.up1(x)))))


class Discriminator(nnx.Module):
    def __init__(self, rngs):
        conv = partial(nnx.Conv, kernel_size=(4, 4), strides=(2, 2), rngs=rngs)
        self.conv1, self.conv2 = conv(1, 64), conv(64, 128)
        self.dense = nnx.Linear(6272, 1, rngs=rngs)

    def __call__(self, x):
        x = nnx.leaky_relu(self.conv1(x), 0.2)
        x = nnx.leaky_relu(self.conv2(x), 0.2)
        return self.dense(x.reshape(len(x), -1))


def count_params(*nets) -> int:
    return sum(leaf.size for net in nets for leaf in jax.tree.leaves(nnx.state(net, nnx.Param)))


def stepped(step, *args):
    """A function that takes the given number of steps, each with its own key."""
    call, key = nnx.cached_partial(nnx.jit(step), *args), jax.random.key(0)

    def run(steps: int) -> None:
        for i in range(steps):
            value = call(jax.random.fold_in(key, i))
        jax.block_until_ready(value)

    return run


def dcgan():
    generator, discriminator = Generator(nnx.Rngs(0)), Discriminator(nnx.Rngs(1))
    nets = generator, discriminator
    adams = [nnx.Optimizer(net, optax.adam(2e-4, b1=0.5), wrt=nnx.Param) for net in nets]
    real = jnp.asarray(data.dcgan_images())

    def step(generator, discriminator, adam_generator, adam_discriminator, key):
        z = jax.random.normal(key, (2, len(real), cases.DCGAN_NOISE))
        both = jnp.concatenate([real, generator(z[0])])

        def discriminator_loss(net):
            on_real, on_fake = jnp.split(net(both), 2)
            return nnx.softplus(-on_real).mean() + nnx.softplus(on_fake).mean()

        first, gradient = nnx.value_and_grad(discriminator_loss)(discriminator)
        adam_discriminator.update(discriminator, gradient)

        def generator_loss(net):
            return nnx.softplus(-discriminator(net(z[1]))).mean()

        second, gradient = nnx.value_and_grad(generator_loss)(generator)
        adam_generator.update(generator, gradient)
        return first + second

    return stepped(step, *nets, *adams), count_params(*nets)


class Vae(nnx.Module):
    def __init__(self, rngs):
        code = cases.VAE_CODE
        shapes = ((784, 400), (400, 2 * code), (code, 400), (400, 784))
        self.dense = nnx.List([nnx.Linear(*shape, rngs=rngs) for shape in shapes])

    def __call__(self, x, key):
        down, moments, up, out = self.dense
        mean, log_variance = jnp.split(moments(nnx.relu(down(x))), 2, axis=-1)
        z = mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape)
        return mean, log_variance, out(nnx.relu(up(z)))


def vae():
    net = Vae(nnx.Rngs(0))
    adam, x = nnx.Optimizer(net, optax.adam(1e-3), wrt=nnx.Param), jnp.asarray(data.vae_pixels())

    def step(net, adam, key):
        def loss(net):
            mean, log_variance, logits = net(x, key)
            distortion = optax.sigmoid_binary_cross_entropy(logits, x).sum()
            rate = (mean**2 + jnp.exp(log_variance) - 1 - log_variance).sum() / 2
            return (distortion + rate) / len(x)

        value, gradient = nnx.value_and_grad(loss)(net)
        adam.update(net, gradient)
        return value

    return stepped(step, net, adam), count_params(net)


def squash(x):
    square = jnp.sum(x**2, -1, keepdims=True)
    return x * jnp.sqrt(square + 1e-9) / (1 + square)


class Capsules(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(1, 64, (9, 9), strides=2, padding="VALID", rngs=rngs)
        self.primary = nnx.Conv(64, 64, (5, 5), padding="VALID", rngs=rngs)
        self.w = nnx.Param(0.1 * jax.random.normal(rngs.params(), (288, 10, 8, 16)))

    def __call__(self, x):
        x = self.primary(nnx.relu(self.conv(x)))
        x = squash(x.reshape(len(x), 288, 8))
        votes = jnp.einsum("bif,ijfd->bijd", x, self.w[...])
        logits = jnp.zeros(votes.shape[:3])
        for last in (False, False, True):
            y = squash(jnp.einsum("bij,bijd->bjd", nnx.softmax(logits), votes))
            if not last:
                logits = logits + jnp.einsum("bijd,bjd->bij", votes, y)
        return jnp.sqrt(jnp.sum(y**2, -1) + 1e-9)


def margin_loss(lengths, labels):
    present = jax.nn.one_hot(labels, 10)
    too_short = present * nnx.relu(0.9 - lengths) ** 2
    return (too_short + 0.5 * (1 - present) * nnx.relu(lengths - 0.1) ** 2).sum(1).mean()


def supervised(net, loss, title):
    return trained(net(nnx.Rngs(0)), loss, *data.labeled_images(title))


CASES = {
    cases.LENET: partial(supervised, LeNet, cross_entropy, cases.LENET),
    cases.RESNET_18: partial(supervised, ResNet18, cross_entropy, cases.RESNET_18),
    cases.UNET: lambda: trained(UNet(nnx.Rngs(0)), mse, *data.unet_images()),
    cases.DCGAN: dcgan,
    cases.VAE: vae,
    cases.CAPSNET: partial(supervised, Capsules, margin_loss, cases.CAPSNET),
}
