"""Convolutional networks for images and video.

Each net is a function of the flat namespace: `nn.lenet`, `nn.resnet`, `nn.convnext` and `nn.unet`
for images, `nn.video_resnet` for clips. They are made of convolutions, which apply the same small
kernel at every position, and learn the number of channels from the example they are initialized
with.

    y[i, o] = b[o] + sum over k, c of x[i + k, c] w[k, c, o]

Where it is used: to classify images (`lenet`, `resnet`, `convnext`), to predict a value for each
pixel, as in segmentation or denoising (`unet`), and to recognize actions in clips (`video_resnet`).

Where it fails: a convolution sees only its neighborhood, and relations across an image need many
layers. With very large data sets vision transformers are more accurate, and with few images a net
trained from scratch overfits.

The smallest code that trains it, to tell horizontal stripes from vertical ones:

>>> import jax, jaxnn as nn, optax
>>> labels = jax.random.bernoulli(jax.random.key(0), shape=(64,)).astype("int32")
>>> stripes = jax.numpy.tile(jax.numpy.array([0.0, 1.0]), (12, 6))
>>> x = jax.numpy.where(labels[:, None, None] == 1, stripes, stripes.T)[..., None]
>>> x = x + 0.1 * jax.random.normal(jax.random.key(1), x.shape)
>>> net, optimizer = nn.lenet(2, activation=jax.nn.relu, pool=nn.max_pool), optax.adam(1e-3)
>>> loss = optax.softmax_cross_entropy_with_integer_labels
>>> step = nn.training.step(nn.training.supervised(net, loss), optimizer)
>>> train = nn.training.init_train(net, optimizer, jax.random.key(2), x)
>>> end = nn.training.fit(step, train, (x, labels), steps=100, batch_size=16)
>>> bool(nn.accuracy(net(end.train.params, x), labels) == 1)
True

See also: python -m examples recognition, python -m examples video

Papers:
  LeCun et al., Gradient-based learning applied to document recognition, 1998.
  He et al., Deep residual learning for image recognition, 2015.
  Ronneberger, Fischer and Brox, U-Net: Convolutional networks for biomedical image segmentation,
  2015.
  Tran et al., A closer look at spatiotemporal convolutions for action recognition, 2018.
  Liu et al., A ConvNet for the 2020s, 2022.
"""
