"""The cases of `benchmarks/nets.py` in PyTorch, eager, with channels first."""

import torch
from torch import nn
from torch.nn import functional as fn

from benchmarks.peers import cases, data
from benchmarks.peers.torch.layers import Block, trained


def channels_first(x):
    return x.transpose(0, 3, 1, 2).copy()


def classifier(net, title):
    x, y = data.labeled_images(title)
    return trained(net, fn.cross_entropy, channels_first(x), y)


def lenet():
    net = nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    )
    return classifier(net, cases.LENET)


def resnet():
    blocks = [
        block
        for i, width in enumerate((64, 128, 256, 512))
        for block in (Block(max(width // 2, 64), width, 2 if i else 1), Block(width, width, 1))
    ]
    net = nn.Sequential(
        *(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), *blocks),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)),
    )
    return classifier(net, cases.RESNET_18)


def convs(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
        *(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
    )


class Level(nn.Module):
    """A level of the U-Net together with all levels below it."""

    def __init__(self, channels: int, widths: tuple[int, ...]):
        super().__init__()
        width, *others = widths
        self.down = convs(channels, width)
        if others:
            below = Level(width, tuple(others))
            up = nn.ConvTranspose2d(others[0], width, 2, 2)
            self.below = nn.Sequential(nn.MaxPool2d(2), below, up)
            self.up = convs(2 * width, width)

    def forward(self, x):
        x = self.down(x)
        return self.up(torch.cat((x, self.below(x)), 1)) if hasattr(self, "below") else x


def unet():
    net = nn.Sequential(Level(1, cases.UNET_WIDTHS), nn.Conv2d(cases.UNET_WIDTHS[0], 1, 1))
    x, y = data.unet_images()
    return trained(net, fn.mse_loss, channels_first(x), channels_first(y))


def dcgan():
    generator = nn.Sequential(
        *(nn.Linear(cases.DCGAN_NOISE, 6272, bias=False), nn.Unflatten(1, (128, 7, 7))),
        *(nn.BatchNorm2d(128), nn.ReLU(), nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False)),
        *(nn.BatchNorm2d(64), nn.ReLU(), nn.ConvTranspose2d(64, 1, 4, 2, 1), nn.Tanh()),
    )
    discriminator = nn.Sequential(
        *(nn.Conv2d(1, 64, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 128, 4, 2, 1)),
        *(nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(6272, 1)),
    )
    nets = generator, discriminator
    adams = [torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in nets]
    real = torch.from_numpy(channels_first(data.dcgan_images()))

    def run(steps: int) -> None:
        for _ in range(steps):
            with torch.no_grad():
                fake = generator(torch.randn(len(real), cases.DCGAN_NOISE))
            adams[1].zero_grad()
            on_real, on_fake = discriminator(torch.cat((real, fake))).split(len(real))
            (fn.softplus(-on_real).mean() + fn.softplus(on_fake).mean()).backward()
            adams[1].step()
            adams[0].zero_grad()
            discriminator.requires_grad_(False)
            fake = generator(torch.randn(len(real), cases.DCGAN_NOISE))
            fn.softplus(-discriminator(fake)).mean().backward()
            discriminator.requires_grad_(True)
            adams[0].step()

    return run, sum(param.numel() for net in nets for param in net.parameters())


def vae():
    code = cases.VAE_CODE
    encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 2 * code))
    decoder = nn.Sequential(nn.Linear(code, 400), nn.ReLU(), nn.Linear(400, 784))
    both = [*encoder.parameters(), *decoder.parameters()]
    adam, x = torch.optim.Adam(both, 1e-3), torch.from_numpy(data.vae_pixels())

    def run(steps: int) -> None:
        for _ in range(steps):
            adam.zero_grad()
            mean, log_variance = encoder(x).split(code, 1)
            z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
            distortion = fn.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
            rate = (mean**2 + log_variance.exp() - 1 - log_variance).sum() / 2
            ((distortion + rate) / len(x)).backward()
            adam.step()

    return run, sum(param.numel() for param in both)


def squash(x):
    square = (x**2).sum(-1, keepdim=True)
    return x * torch.sqrt(square + 1e-9) / (1 + square)


class Capsules(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.primary = nn.Conv2d(1, 64, 9, 2), nn.Conv2d(64, 64, 5)
        self.w = nn.Parameter(0.1 * torch.randn(288, 8, 160))

    def forward(self, x):
        x = self.primary(torch.relu(self.conv(x))).permute(0, 2, 3, 1)
        x = squash(x.reshape(len(x), 288, 8)).transpose(0, 1)
        votes = torch.bmm(x, self.w).view(288, -1, 10, 16).permute(1, 2, 0, 3).contiguous()
        logits = torch.zeros(votes.shape[:3])
        for last in (False, False, True):
            y = squash(torch.matmul(torch.softmax(logits, 1)[:, :, None], votes)[:, :, 0])
            if not last:
                logits = logits + torch.matmul(votes, y[..., None])[..., 0]
        return torch.sqrt((y**2).sum(-1) + 1e-9)


def margin_loss(lengths, labels):
    present = fn.one_hot(labels, 10)
    too_short = present * torch.relu(0.9 - lengths) ** 2
    return (too_short + 0.5 * (1 - present) * torch.relu(lengths - 0.1) ** 2).sum(1).mean()


def capsnet():
    x, y = data.labeled_images(cases.CAPSNET)
    return trained(Capsules(), margin_loss, channels_first(x), y)


CASES = {
    cases.LENET: lenet,
    cases.RESNET_18: resnet,
    cases.UNET: unet,
    cases.DCGAN: dcgan,
    cases.VAE: vae,
    cases.CAPSNET: capsnet,
}
