"""One small example of every layer, cell and net; the laws run over all of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import jaxnn as nn
from jaxnn.interop.nir import Affine, Leaky, Lif
from jaxnn.layers.attention.attention import attention, cross_attention
from jaxnn.layers.attention.positions import rotary
from jaxnn.layers.embed import embedding, learned_positions, sinusoidal_positions
from jaxnn.layers.noise import drop_path, dropout, gaussian_dropout, gaussian_noise
from jaxnn.layers.norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from jaxnn.layers.recurrent.cells import elman, gru, mgu
from jaxnn.layers.recurrent.linear import lru, min_gru, min_lstm
from jaxnn.layers.recurrent.lstm import conv_lstm, lstm
from jaxnn.layers.weight_reparam import spectral_norm, weight_norm
from jaxnn.sequences import unroll
from tests import parts
from tests.small import counter, decay, noise


class Entry(NamedTuple):
    """How to make a layer and its input, and the laws that do not bind it, each with its reason.

    input: (key, dtype) -> x, of 8 rows; widths are multiples of 8.
    rows: the axis of rows in the output.
    """

    make: Callable[[], Any]
    input: Callable
    exempt: dict[Any, str] = {}  # noqa: RUF012 (never written to)
    rows: int = 0


def features(*shape: int) -> Callable:
    return lambda key, dtype: jax.random.normal(key, (8, *shape), dtype)


def tokens(*shape: int, vocabulary: int = 16) -> Callable:
    return lambda key, dtype: jax.random.randint(key, (8, *shape), 0, vocabulary)


def masked(*shape: int) -> Callable:
    """(x, mask), with padding anywhere in a sequence."""

    def draw(key, dtype):
        mask = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.7, (8, shape[0]))
        return jax.random.normal(key, (8, *shape), dtype), mask

    return draw


def lengths(*shape: int) -> Callable:
    """(x, lengths), of no step to one more than there are."""

    def draw(key, dtype):
        return jax.random.normal(key, (8, *shape), dtype), jnp.arange(8) % (shape[0] + 2)

    return draw


def with_noise(samples: int, latents: int, *shape: int) -> Callable:
    """(x, noise), as a variational autoencoder takes them."""

    def draw(key, dtype):
        noise = jax.random.normal(jax.random.fold_in(key, 1), (8, samples, latents), dtype)
        return jax.random.normal(key, (8, *shape), dtype), noise

    return draw


def told(*shape: int) -> Callable:
    """(x, labels), of 8 classes."""
    return lambda key, dtype: (jax.random.normal(key, (8, *shape), dtype), jnp.arange(8)[::-1])


def graphs(key, dtype):
    """A union of three graphs, with rows that are left over; edges may join any two nodes."""
    ends = jax.random.randint(jax.random.fold_in(key, 1), (2, 24), 0, 12).astype(jnp.int32)
    nodes, edges = (
        jax.random.normal(jax.random.fold_in(key, i), shape, dtype)
        for i, shape in ((2, (16, 8)), (3, (24, 8)))
    )
    sizes = jnp.zeros((8, 2), jnp.int32).at[:3, 0].set(jnp.array([5, 1, 6], jnp.int32))
    ends = ends.at[:, 20:].set(16)
    return nn.graph.Graph(nodes, edges, ends[0], ends[1], (), sizes)


KINK = {6: "an input of a rectifier lies within the step of a finite difference from zero"}
WHOLE = {8: "runs backwards from the last step, and so takes whole sequences"}
HARD = {6: "the code passes its gradient on as it is, whatever its choice of a vector"}
TOKENS = {9: "tokens say nothing of a dtype, so their vectors are float32 whatever is beside them"}
STDP = {6: "it learns in state and passes no gradient"}
SPIKES = {6: "the gradient through a spike is a surrogate"}
HALF = {6: "computes in bfloat16, too coarse for finite differences"}

SCAN = {"steps": "JAX's associative scan needs to know its length"}
SPACE = {"steps": "its axis of 6 is not time"}
PARTS = {"rows": "the number of rows must be one that its parts divide"}
POOL = {"rows": "how many nodes stay is a share of how many there are, rounded when it is traced"}
PLACES = {9: "boxes are float32 at least: bfloat16 counts pixels to 256"}
SEE = {5: "nodes see their neighbours; that graphs do not see each other, test_graph.py says"}

ENTRIES = {
    # layers
    "dense": Entry(lambda: nn.dense(16), features(8)),
    "dense without bias": Entry(lambda: nn.dense(16, bias=False), features(8)),
    "dense over time": Entry(lambda: nn.dense(8), features(5, 8)),
    "function": Entry(lambda: nn.serial(jax.nn.tanh), features(8)),
    # norms, noise, embeddings and reparametrizations
    "batch_norm": Entry(batch_norm, features(8)),
    "batch_norm of images": Entry(batch_norm, features(4, 4, 8)),
    "batch_norm without params": Entry(
        lambda: nn.serial(nn.dense(8, bias=False), batch_norm(scale=False, bias=False)), features(8)
    ),
    "batch_norm masked": Entry(batch_norm, masked(6, 8)),
    "batch_norm in half precision": Entry(
        lambda: nn.with_dtype(batch_norm(), jnp.bfloat16), features(8), HALF
    ),
    "layer_norm": Entry(layer_norm, features(5, 8)),
    "layer_norm over two axes": Entry(lambda: layer_norm(axes=2, bias=False), features(5, 8)),
    "rms_norm": Entry(rms_norm, features(5, 8)),
    "group_norm": Entry(lambda: group_norm(4), features(4, 4, 16)),
    "group_norm of vectors": Entry(lambda: group_norm(2), features(8)),
    "instance_norm": Entry(instance_norm, features(4, 4, 8)),
    "dropout": Entry(lambda: nn.serial(nn.dense(8), dropout(0.5)), features(8)),
    "dropout of channels": Entry(
        lambda: nn.serial(nn.dense(8), dropout(0.5, shared=(1, 2))), features(4, 4, 8)
    ),
    "drop_path": Entry(lambda: nn.residual(nn.serial(nn.dense(8), drop_path(0.5))), features(5, 8)),
    "gaussian_noise": Entry(lambda: nn.serial(nn.dense(8), gaussian_noise(0.5)), features(8)),
    "gaussian_dropout": Entry(lambda: gaussian_dropout(0.5), features(8)),
    "embedding": Entry(lambda: embedding(16, 8), tokens(5)),
    "embedding with padding": Entry(lambda: embedding(16, 8, padding=3), tokens()),
    "embedding tied": Entry(
        lambda: nn.wire(lambda f, t: f.embed(jnp.tanh(f.embed(t))), embed=embedding(16, 8)),
        tokens(5),
    ),
    "learned_positions": Entry(lambda: learned_positions(6), features(6, 8)),
    "sinusoidal_positions": Entry(sinusoidal_positions, features(6, 8)),
    "embedding and positions": Entry(
        lambda: nn.serial(embedding(16, 8), learned_positions(6), nn.dense(8)), tokens(6)
    ),
    # The iteration runs until u and v are exact: they get no gradient, and then need none.
    "spectral_norm": Entry(lambda: spectral_norm(nn.dense(8), steps=100), features(8)),
    "spectral_norm of a cell": Entry(
        lambda: spectral_norm(nn.serial(nn.dense(8), decay()), steps=100), features(6, 8)
    ),
    "weight_norm": Entry(lambda: weight_norm(nn.mlp(16, 8)), features(8)),
    "weight_norm of a cell": Entry(
        lambda: weight_norm(nn.serial(nn.dense(8), counter(), decay())), features(6, 8)
    ),
    # recurrent cells and sequences
    "elman": Entry(lambda: elman(8), features(6, 8)),
    "lstm": Entry(lambda: lstm(8), features(6, 8)),
    "lstm with peepholes": Entry(lambda: lstm(16, peepholes=True, projection=8), features(6, 8)),
    "lstm in two halves": Entry(lambda: lstm(65, projection=8), features(6, 8)),
    "lstm of coupled gates": Entry(lambda: lstm(8, peepholes=True, coupled=True), features(6, 8)),
    "lstm with_dtype": Entry(lambda: nn.with_dtype(lstm(8), jnp.bfloat16), features(6, 8), HALF),
    "lstm masked": Entry(lambda: lstm(8), masked(6, 8)),
    "gru": Entry(lambda: gru(16), features(6, 8)),
    "gru with reset before": Entry(lambda: gru(8, reset_after=False), features(6, 8)),
    "mgu": Entry(lambda: mgu(8), features(6, 8)),
    "min_gru": Entry(lambda: min_gru(8), features(6, 8), SCAN),
    "min_lstm masked": Entry(lambda: min_lstm(8), masked(6, 8), SCAN),
    "lru": Entry(lambda: lru(8, 16), features(6, 8), SCAN),
    "lru masked": Entry(lambda: lru(8, r_min=0.5), masked(6, 8), SCAN),
    "conv_lstm": Entry(lambda: conv_lstm(8, 3), features(6, 4, 4, 8)),
    "conv_lstm masked": Entry(lambda: conv_lstm(8, 3), masked(6, 4, 8)),
    "unroll": Entry(lambda: unroll.unroll(gru(8)), features(6, 8)),
    "unroll to the last": Entry(lambda: unroll.unroll(gru(8), last=True), lengths(6, 8)),
    "unroll backwards": Entry(
        lambda: unroll.unroll(elman(8), reverse=True, return_carry=True), lengths(6, 8)
    ),
    "bidirectional": Entry(
        lambda: unroll.bidirectional(elman(8), merge=nn.add), features(6, 8), WHOLE
    ),
    "bidirectional masked": Entry(
        lambda: unroll.bidirectional(elman(8), lru(8)), masked(6, 8), WHOLE | SCAN
    ),
    "stack": Entry(lambda: unroll.stack(gru(8), dropout(0.5), elman(8), nn.dense(8)), masked(6, 8)),
    "stack under repeat": Entry(
        lambda: nn.repeat(nn.residual(unroll.stack(layer_norm(), lstm(8), dropout(0.5))), 2),
        masked(6, 8),
    ),
    # attention
    "attention": Entry(lambda: attention(2), features(6, 8)),
    "attention causal with rotary and grouped heads": Entry(
        lambda: attention(4, kv_heads=2, causal=True, rotary=rotary()), features(6, 16)
    ),
    "attention in a window with alibi and one key head": Entry(
        lambda: attention(2, kv_heads=1, causal=True, window=3, alibi=True), features(6, 8)
    ),
    "attention of another width with query-key norm": Entry(
        lambda: attention(2, width=16, bias=False, qk_norm=True), features(6, 8)
    ),
    "attention with dropout": Entry(lambda: attention(2, dropout=0.3), features(6, 8)),
    "attention masked": Entry(lambda: attention(2, alibi=True), masked(6, 8)),
    "attention cached": Entry(
        lambda: attention(4, kv_heads=2, causal=True, capacity=8, rotary=rotary()), features(6, 16)
    ),
    "attention cached in a ring": Entry(
        lambda: attention(2, causal=True, window=3, capacity=4, alibi=True), features(6, 8)
    ),
    "attention cached, masked, with dropout": Entry(
        lambda: attention(2, causal=True, capacity=6, rotary=rotary(), qk_norm=True, dropout=0.3),
        masked(6, 8),
    ),
    "attention cached under repeat": Entry(
        lambda: nn.repeat(
            nn.residual(nn.serial(rms_norm(), attention(2, causal=True, capacity=6))), 2
        ),
        features(6, 8),
    ),
    "attention in half precision": Entry(
        lambda: nn.with_dtype(attention(2, causal=True, capacity=6, alibi=True), jnp.bfloat16),
        features(6, 8),
        HALF,
    ),
    "cross_attention": Entry(
        lambda: cross_attention(4, kv_heads=2, qk_norm=True),
        lambda key, dtype: (features(3, 16)(key, dtype), features(5, 8)(key, dtype)),
    ),
    "cross_attention masked": Entry(
        lambda: cross_attention(2, dropout=0.3),
        lambda key, dtype: (features(3, 8)(key, dtype), *masked(5, 8)(key, dtype)),
    ),
    # transformers
    "feed_forward": Entry(
        lambda: nn.feed_forward(16, activation=jax.nn.silu, gated=True, dropout=0.3),
        features(6, 8),
    ),
    "transformer_block with a memory": Entry(
        lambda: parts.block(2, 16, causal=True, cross=True, pre_norm=False, dropout=0.3),
        lambda key, dtype: (features(6, 8)(key, dtype), *masked(5, 16)(key, dtype)),
    ),
    "transformer cached": Entry(
        lambda: parts.transformer(
            2, 2, 8, causal=True, window=3, capacity=6, dropout=0.3, remat=True
        ),
        masked(6, 8),
    ),
    "language_model": Entry(
        lambda: parts.language_model(16, 8, 2, 2, positions="sinusoidal", tied=False, dropout=0.3),
        tokens(6),
    ),
    "gpt2 cached": Entry(lambda: nn.gpt2(16, 8, 2, 2, length=8, capacity=8), tokens(6)),
    "llama": Entry(lambda: nn.llama(16, 8, 2, 4, kv_heads=2, mlp_width=16), tokens(6)),
    "bert": Entry(
        lambda: nn.bert(16, 8, 2, 2, length=8, dropout=0.3),
        lambda key, dtype: (
            tokens(6)(key, dtype),
            masked(6)(key, dtype)[1],
            tokens(6, vocabulary=2)(key, dtype),
        ),
    ),
    "seq2seq_transformer": Entry(
        lambda: nn.seq2seq_transformer(16, 8, 1, 2, dropout=0.3).net,
        lambda key, dtype: (tokens(5)(key, dtype), masked(5)(key, dtype)[1], tokens(6)(key, dtype)),
    ),
    "lora": Entry(
        lambda: nn.lora(
            nn.repeat(nn.mlp(16, 8), 2), 2, alpha=4.0, b_init=jax.nn.initializers.normal()
        ),
        features(8),
    ),
    # convolutions, pools and reshapes
    "conv": Entry(lambda: nn.conv(8, 3), features(5, 4, 8)),
    "conv of one axis": Entry(lambda: nn.conv(8, 3, padding="CAUSAL", dilation=2), features(6, 8)),
    "conv of three axes": Entry(lambda: nn.conv(8, 2, stride=2), features(4, 3, 4, 8)),
    "conv of one place": Entry(lambda: nn.conv(16, 1, stride=2, bias=False), features(4, 4, 8)),
    "conv with groups": Entry(
        lambda: nn.conv(16, 3, stride=2, padding=1, groups=2), features(5, 4, 8)
    ),
    "depthwise_conv": Entry(lambda: nn.depthwise_conv(3), features(5, 4, 8)),
    "depthwise_conv, two a channel": Entry(
        lambda: nn.depthwise_conv((3, 2), multiplier=2, stride=2), features(5, 4, 8)
    ),
    "conv_transpose": Entry(lambda: nn.conv_transpose(8, 4, stride=2), features(3, 2, 8)),
    "conv_transpose, dilated": Entry(
        lambda: nn.conv_transpose(8, 3, stride=2, dilation=2, padding=1, output_padding=1),
        features(3, 8),
    ),
    "max_pool": Entry(lambda: nn.max_pool(2), features(5, 4, 8)),
    "max_pool with overlap": Entry(lambda: nn.max_pool(3, stride=2, padding=1), features(5, 4, 8)),
    "avg_pool": Entry(lambda: nn.avg_pool(2), features(5, 4, 8)),
    "avg_pool with overlap": Entry(
        lambda: nn.avg_pool(3, stride=2, padding="SAME", count_include_pad=False), features(5, 4, 8)
    ),
    "global_max_pool": Entry(nn.global_max_pool, features(3, 4, 8)),
    "global_avg_pool": Entry(lambda: nn.global_avg_pool(keepdims=True), features(3, 4, 8)),
    "adaptive_max_pool": Entry(lambda: nn.adaptive_max_pool((3, 2)), features(5, 4, 8)),
    "adaptive_avg_pool": Entry(lambda: nn.adaptive_avg_pool((3, 2)), features(5, 4, 8)),
    "upsample": Entry(lambda: nn.upsample(2), features(3, 2, 8)),
    "upsample, linear": Entry(lambda: nn.upsample((3, 2), "linear"), features(3, 2, 8)),
    "pixel_shuffle": Entry(lambda: nn.pixel_shuffle(2), features(3, 2, 8)),
    "flatten": Entry(nn.flatten, features(3, 2, 8)),
    # sound
    "log_mel": Entry(
        lambda: nn.serial(nn.log_mel(8, 800, window=24, hop=16, size=32), nn.dense(8)), features(72)
    ),
    # nets
    "mlp": Entry(lambda: nn.mlp(16, 16, 8), features(8)),
    "mlp of tanh": Entry(lambda: nn.mlp(16, 8, activation=jax.nn.tanh), features(8)),
    # nets: recurrent
    "rnn": Entry(
        lambda: nn.rnn(elman, 8, 2, bidirectional=True, dropout=0.3, norm=layer_norm),
        masked(6, 8),
        WHOLE,
    ),
    "linear_rnn": Entry(lambda: nn.linear_rnn(8, 2, cell=min_gru, dropout=0.3), masked(6, 8), SCAN),
    "rnn_tagger": Entry(lambda: nn.rnn_tagger(elman(8), 8, dropout=0.3), masked(6, 8)),
    "rnn_classifier": Entry(
        lambda: nn.rnn_classifier(gru(8), 8, pool="mean", dropout=0.3), lengths(6, 8)
    ),
    "rnn_language_model": Entry(
        lambda: nn.rnn_language_model(elman(8), 16, 8, dropout=0.3), tokens(6)
    ),
    "attention_decoder": Entry(
        lambda: nn.attention_decoder(elman(8), 16, 8, dropout=0.3),
        lambda key, dtype: (tokens(6)(key, dtype), *masked(6, 8)(key, dtype)),
        {8: "the memory is given whole with each chunk"} | TOKENS,
    ),
    "seq2seq": Entry(
        lambda: nn.seq2seq(
            unroll.unroll(unroll.stack(embedding(16, 8), elman(8))),
            nn.attention_decoder(elman(8), 16, 8),
        ),
        lambda key, dtype: (tokens(5)(key, dtype), jnp.arange(8) % 7, tokens(6)(key, dtype)),
    ),
    # nets: images and video
    "lenet": Entry(lambda: nn.lenet(8, widths=(8, 8, 16, 8)), features(12, 12, 1)),
    "resnet": Entry(
        lambda: nn.resnet(8, (1,), width=8, bottleneck=True, small=True), features(4, 4, 8)
    ),
    "convnext": Entry(
        lambda: nn.convnext(
            8, depths=(1,), widths=(8,), patch=2, kernel_size=3, drop_rate=0.3, scale=0.1
        ),
        features(4, 4, 8),
    ),
    "unet": Entry(lambda: nn.unet(8, widths=(8, 8)), features(4, 4, 8)),
    "detector": Entry(
        lambda: nn.detection.detector(8, nn.conv(8, 2, stride=2), width=8),
        features(4, 4, 8),
        PLACES,
    ),
    "video_resnet": Entry(
        lambda: nn.video_resnet(8, (1,), width=8, factored=True, small=True),
        features(2, 3, 3, 8),
        KINK,
    ),
    # nets: adversarial
    "dcgan_generator": Entry(lambda: nn.gan.dcgan_generator(8, width=8), features(8)),
    "dcgan_discriminator": Entry(
        lambda: nn.gan.dcgan_discriminator(width=8, norm=batch_norm), features(8, 8, 8)
    ),
    "conditional": Entry(lambda: nn.gan.class_conditional(nn.dense(8), 8, width=8), told(8)),
    "projection_discriminator": Entry(
        lambda: nn.gan.projection_discriminator(nn.dense(8), 8), told(8)
    ),
    # autoencoders
    "autoencoder": Entry(
        lambda: nn.autoencoder.plain_autoencoder(
            *nn.autoencoder.dense_coder(8, 8, 16, activation=jax.nn.sigmoid)
        ),
        features(8),
    ),
    "autoencoder of pictures": Entry(
        lambda: nn.autoencoder.plain_autoencoder(*nn.autoencoder.conv_coder((5, 6, 8), 8, 8, 16)),
        features(5, 6, 8),
    ),
    "variational": Entry(
        lambda: nn.autoencoder.variational(*nn.autoencoder.dense_coder((2, 4), 16, 16)),
        with_noise(3, 8, 2, 4),
    ),
    "vector_quantizer": Entry(lambda: nn.autoencoder.vector_quantizer(16), features(4, 8), HARD),
    "vector_quantizer of averages": Entry(
        lambda: nn.autoencoder.vector_quantizer(16, decay=0.9), features(8), HARD
    ),
    "quantized": Entry(
        lambda: nn.autoencoder.vector_quantized(
            nn.conv(8, 2, stride=2), nn.autoencoder.vector_quantizer(16), nn.conv(8, 1)
        ),
        features(4, 4, 8),
        HARD,
    ),
    # capsules
    "capsules": Entry(lambda: nn.capsule.capsules(4, 8), features(6, 8), SPACE),
    "capsnet": Entry(
        lambda: nn.capsule.capsnet(
            4, channels=8, kernel_size=3, types=2, dimension=4, primary_kernel=3, width=8
        ),
        features(6, 6, 1),
        SPACE,
    ),
    "capsule_decoder": Entry(lambda: nn.capsule.capsule_decoder((4, 2, 1), (16,)), features(4, 8)),
    # Small votes spread little, so that the routing does not magnify their rounding.
    "matrix_capsules": Entry(
        lambda: nn.serial(
            nn.capsule.primary_matrix_capsules(2),
            nn.capsule.matrix_capsules(2, 2, iterations=2, w_init=jax.nn.initializers.normal(0.03)),
        ),
        features(2, 3, 8),
    ),
    # modules side by side, and mixtures of experts
    "modular": Entry(
        lambda: nn.mixture.modular(
            nn.dense(8), 2, nn.mixture.join_features, parts=nn.mixture.feature_parts(2)
        ),
        features(16),
    ),
    "mixture, a tree": Entry(lambda: nn.mixture.mixture_of_experts(nn.dense(8), 2, 2), features(8)),
    "multi_task": Entry(
        lambda: nn.mixture.multi_task(nn.dense(8), 2, {"a": jnp.tanh, "b": nn.dense(8)}),
        features(8),
    ),
    "sparse_mixture": Entry(
        lambda: nn.mixture.sparse_mixture(8, 4, 2, capacity=1.0, shared=1, activation=jnp.tanh),
        features(8),
    ),
    "sparse_mixture masked": Entry(
        lambda: nn.mixture.sparse_mixture(8, 4, 2, activation=jnp.tanh), masked(6, 8)
    ),
    "expert_parallel": Entry(
        lambda: nn.mixture.expert_parallel(
            nn.mixture.sparse_mixture(8, 4, activation=jnp.tanh, axis_name="experts"),
            jax.make_mesh((1,), ("experts",), axis_types=(jax.sharding.AxisType.Auto,)),
            "experts",
        ),
        features(8),
        {10: "it holds a mesh of its own; test_sparse_mixture compares one device with four"},
    ),
    # spiking neurons and nets
    "lif": Entry(
        lambda: nn.spiking.lif(0.8, 0.5, refractory=1, learn=("decay", "threshold"), feedback=True),
        features(6, 8),
        SPIKES,
    ),
    "lif masked": Entry(lambda: nn.spiking.lif(0.8, 0.5, reset="zero"), masked(6, 2, 8), SPIKES),
    "adaptive_lif": Entry(
        lambda: nn.spiking.adaptive_lif(0.8, 0.5, learn=("adaptation", "adaptation_decay")),
        features(6, 8),
        SPIKES,
    ),
    "synaptic_lif": Entry(
        lambda: nn.spiking.synaptic_lif(0.8, 0.5, reset="delayed", learn=("synaptic_decay",)),
        features(6, 8),
        SPIKES,
    ),
    "leaky_integrator": Entry(
        lambda: nn.spiking.leaky_integrator(learn=("decay",)), features(6, 8)
    ),
    "izhikevich": Entry(
        lambda: nn.serial(lambda x: 30 * x, nn.spiking.izhikevich()), features(6, 8), SPIKES
    ),
    "stdp": Entry(
        lambda: nn.serial(lambda x: jnp.abs(x), nn.spiking.stdp(8, one_winner=True)),
        features(6, 8),
        STDP,
    ),
    "spiking_mlp": Entry(
        lambda: unroll.unroll(nn.spiking.spiking_mlp(8, 16, steps=3)), features(8), SPIKES
    ),
    "row_blocks": Entry(lambda: nn.spiking.row_blocks(nn.mlp(16, 8), 4), features(8), PARTS),
    "spiking_chain": Entry(
        lambda: nn.spiking.spiking_chain(Affine(8), Lif(0.8, 0.5), Affine(8), Leaky()),
        features(6, 8),
        SPIKES,
    ),
    "spiking_cnn": Entry(lambda: nn.spiking.spiking_cnn(8, 8), features(6, 4, 4, 8), SPIKES),
    # graphs
    "gcn": Entry(lambda: nn.graph.gcn(8), graphs, SEE),
    "gat": Entry(lambda: nn.graph.gat(8, heads=2, dropout=0.3), graphs, SEE),
    "gatv2": Entry(lambda: nn.graph.gatv2(8, heads=2, merge="mean", dropout=0.3), graphs, SEE),
    "sage": Entry(lambda: nn.graph.sage(8, aggregate="max", normalize=True), graphs, SEE),
    "gin": Entry(lambda: nn.graph.gin(nn.mlp(8, 8, activation=jnp.tanh)), graphs, SEE),
    "message_passing": Entry(
        lambda: nn.graph.message_passing(nn.dense(8), nn.dense(8), aggregate="mean", keep=True),
        graphs,
        SEE,
    ),
    "edge_conditioned": Entry(
        lambda: nn.graph.edge_conditioned(8, nn.serial(nn.dense(8), jnp.tanh)), graphs, SEE
    ),
    "virtual_node": Entry(
        lambda: nn.graph.virtual_node(nn.graph.gcn(8), nn.serial(nn.dense(8), jnp.tanh)),
        graphs,
        SEE,
    ),
    "nodewise": Entry(
        lambda: nn.serial(nn.graph.nodewise(nn.dense(8)), nn.graph.edgewise(nn.dense(8))),
        graphs,
        SEE,
    ),
    "top_k_pool and readout": Entry(
        lambda: nn.serial(nn.graph.top_k_pool(), nn.graph.readout("sum", "max")), graphs, SEE | POOL
    ),
    "set2set": Entry(nn.graph.set2set, graphs, SEE),
    "function of nodes": Entry(
        lambda: nn.serial(nn.graph.gcn(8), jnp.tanh, nn.graph.gcn(8), nn.graph.node_output()),
        graphs,
        SEE,
    ),
    # flows
    "serial": Entry(lambda: nn.serial(nn.dense(8), jax.nn.tanh, nn.dense(8)), features(8)),
    "serial by name": Entry(lambda: nn.serial(a=nn.dense(8), b=nn.dense(16)), features(8)),
    "parallel": Entry(
        lambda: nn.serial(nn.parallel(nn.dense(8), jnp.tanh), nn.concatenate), features(8)
    ),
    "parallel by name": Entry(
        lambda: nn.serial(nn.parallel(a=nn.dense(8), b=nn.dense(8)), nn.add), features(8)
    ),
    "residual": Entry(lambda: nn.residual(nn.mlp(16, 8)), features(8)),
    "residual with shortcut": Entry(lambda: nn.residual(nn.dense(16), nn.dense(16)), features(8)),
    "wire": Entry(
        lambda: nn.wire(
            lambda f, x: x * jax.nn.sigmoid(f.gate(f.norm(x))),
            norm=lambda x: x / (1 + jnp.abs(x)),
            gate=nn.dense(8),
        ),
        features(8),
    ),
    "wire with tied weights": Entry(
        lambda: nn.wire(lambda f, x: f.a(jnp.tanh(f.a(x))), a=nn.dense(8)), features(8)
    ),
    "wire within wire": Entry(
        lambda: nn.wire(
            lambda f, x: x + f.inner(x),
            inner=nn.wire(lambda f, x: f.a(x) - x, a=nn.serial(nn.dense(8), noise())),
        ),
        features(8),
    ),
    # combinators
    "repeat": Entry(lambda: nn.repeat(nn.serial(nn.dense(8), jnp.tanh, noise()), 3), features(8)),
    "repeat written out": Entry(lambda: nn.repeat(nn.dense(8), 3, unroll=3), features(8)),
    "ensemble": Entry(lambda: nn.ensemble(nn.mlp(8, 8), 3), features(8), rows=1),
    "remat": Entry(lambda: nn.remat(nn.mlp(16, 8)), features(8)),
    "with_dtype": Entry(lambda: nn.with_dtype(nn.mlp(16, 8), jnp.bfloat16), features(8), HALF),
    # the three memories
    "state": Entry(lambda: nn.serial(nn.dense(8), counter()), features(8)),
    "state under repeat": Entry(
        lambda: nn.repeat(nn.serial(nn.dense(8), counter()), 3), features(8)
    ),
    "noise": Entry(lambda: nn.serial(nn.dense(8), noise()), features(8)),
    "carry": Entry(decay, features(6, 8)),
    "carry in serial": Entry(
        lambda: nn.serial(nn.dense(8), decay(), jnp.tanh, counter(), decay()), features(6, 8)
    ),
    "carry in wire": Entry(
        lambda: nn.wire(lambda f, x: x + f.mix(f.memory(x)), memory=decay(), mix=nn.dense(8)),
        features(6, 8),
    ),
    "carry under repeat": Entry(
        lambda: nn.repeat(nn.residual(nn.serial(decay(), nn.dense(8), jnp.tanh)), 3),
        features(6, 8),
    ),
    "carry under ensemble": Entry(lambda: nn.ensemble(decay(), 3), features(6, 8), rows=1),
    "carry under remat": Entry(lambda: nn.remat(nn.serial(decay(), decay())), features(6, 8)),
    "carry with_dtype": Entry(
        lambda: nn.with_dtype(nn.serial(decay(), nn.dense(8)), jnp.bfloat16), features(6, 8), HALF
    ),
    # radial basis functions
    "rbf normalised": Entry(
        lambda: nn.rbf.rbf_layer(8, metric="centre", normalised=True), features(8)
    ),
    "rbf of a full metric": Entry(
        lambda: nn.rbf.rbf_layer(8, kernel=nn.rbf.multiquadric_kernel, metric="full"), features(8)
    ),
    "rbf_net": Entry(lambda: nn.rbf.rbf_net(16, 8, width=2.0), features(8)),
    # self-organizing maps
    "som": Entry(lambda: nn.som.self_organizing_map(nn.som.Grid(2, 4), 10), features(8)),
    "som online on a hexagonal torus": Entry(
        lambda: nn.som.self_organizing_map(
            nn.som.Grid(2, 4, True, True), 10, online=True, distance="cosine"
        ),
        features(8),
    ),
}
