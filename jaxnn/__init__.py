"""Neural networks as named pairs of pure functions over pytrees."""

from jaxnn import augmentation, gan, interop, metrics, training
from jaxnn.arguments import check_public
from jaxnn.combine import (
    ensemble,
    remat,
    repeat,
    with_dtype,
)
from jaxnn.core import (
    Cell,
    Layer,
    cast,
    lift,
)
from jaxnn.flow import (
    add,
    concatenate,
    parallel,
    residual,
    serial,
    wire,
)
from jaxnn.inspection import (
    summary,
    summary_rows,
    taps,
)
from jaxnn.layers.attention.attention import (
    attention,
    cross_attention,
)
from jaxnn.layers.attention.positions import (
    alibi_slopes,
    rotary,
)
from jaxnn.layers.audio import (
    log_mel,
    mel_filters,
    spec_augment,
)
from jaxnn.layers.convolution.conv import (
    conv,
    conv_transpose,
    depthwise_conv,
)
from jaxnn.layers.convolution.pool import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    global_avg_pool,
    global_max_pool,
    max_pool,
)
from jaxnn.layers.convolution.reshape import (
    flatten,
    pixel_shuffle,
    upsample,
)
from jaxnn.layers.dense import (
    dense,
)
from jaxnn.layers.distance import (
    squared_distances,
)
from jaxnn.layers.embed import (
    embedding,
    learned_positions,
    sinusoidal_positions,
)
from jaxnn.layers.feed_forward import (
    feed_forward,
)
from jaxnn.layers.lora import (
    lora,
    merge_lora,
)
from jaxnn.layers.neuron import (
    identity,
    init_neuron,
    neuron,
    weighted_sum,
)
from jaxnn.layers.noise import (
    drop_path,
    dropout,
    gaussian_dropout,
    gaussian_noise,
)
from jaxnn.layers.norm import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    rms_norm,
)
from jaxnn.layers.recurrent.cells import (
    elman,
    gru,
    mgu,
)
from jaxnn.layers.recurrent.linear import (
    linear_scan,
    lru,
    min_gru,
    min_lstm,
)
from jaxnn.layers.recurrent.lstm import (
    conv_lstm,
    lstm,
)
from jaxnn.layers.segment import (
    segment_max,
    segment_mean,
    segment_softmax,
    segment_sum,
)
from jaxnn.layers.weight_reparam import (
    spectral_norm,
    weight_norm,
)
from jaxnn.losses import (
    accuracy,
    ignore_label,
    mse,
)
from jaxnn.missing_names import absent
from jaxnn.nets import autoencoder, capsule, detection, graph, mixture, rbf, som, spiking
from jaxnn.nets.mlp import (
    mlp,
)
from jaxnn.nets.recurrent import ctc
from jaxnn.nets.recurrent.heads import rnn_classifier, rnn_language_model, rnn_tagger
from jaxnn.nets.recurrent.rnn import linear_rnn, rnn
from jaxnn.nets.recurrent.seq2seq import attention_decoder, seq2seq
from jaxnn.nets.transformer.block import depth_scaled_init, transformer, transformer_block
from jaxnn.nets.transformer.encoder_decoder import (
    EncoderDecoder,
    encoder_decoder,
    seq2seq_transformer,
)
from jaxnn.nets.transformer.pretrained import net_arguments
from jaxnn.nets.transformer.ready import bert, gpt2, llama
from jaxnn.nets.transformer.text import (
    language_model,
    text_encoder,
)
from jaxnn.nets.vision.convnext import (
    convnext,
)
from jaxnn.nets.vision.lenet import (
    lenet,
)
from jaxnn.nets.vision.resnet import (
    resnet,
)
from jaxnn.nets.vision.unet import (
    unet,
)
from jaxnn.nets.vision.video import (
    video_block,
    video_resnet,
)
from jaxnn.sequences.beam import (
    Beams,
    beam_search,
)
from jaxnn.sequences.chunks import (
    chunkwise,
    recurrent,
)
from jaxnn.sequences.generation import (
    Generated,
    generate,
)
from jaxnn.sequences.masks import (
    length_mask,
    pool_steps,
)
from jaxnn.sequences.packing import (
    next_tokens,
    pack_documents,
)
from jaxnn.sequences.unroll import (
    bidirectional,
    stack,
    unroll,
)
from jaxnn.tree import (
    count_params,
    decayed,
    freeze,
    label_params,
    mask_params,
    nbytes,
)

__version__ = "0.1.0"

# fmt: off
__all__ = [
    "Beams", "Cell", "EncoderDecoder", "Generated", "Layer", "accuracy", "adaptive_avg_pool",
    "adaptive_max_pool", "add", "alibi_slopes", "attention", "attention_decoder", "augmentation",
    "autoencoder", "avg_pool", "batch_norm", "beam_search", "bert", "bidirectional", "capsule",
    "cast", "chunkwise", "concatenate", "conv", "conv_lstm", "conv_transpose", "convnext",
    "count_params", "cross_attention", "ctc", "decayed", "dense", "depth_scaled_init",
    "depthwise_conv", "detection", "drop_path", "dropout", "elman", "embedding",
    "encoder_decoder", "ensemble", "feed_forward", "flatten", "freeze", "gan", "gaussian_dropout",
    "gaussian_noise", "generate", "global_avg_pool", "global_max_pool", "gpt2", "graph",
    "group_norm", "gru", "identity", "ignore_label", "init_neuron", "instance_norm", "interop",
    "label_params", "language_model", "layer_norm", "learned_positions", "lenet", "length_mask",
    "lift", "linear_rnn", "linear_scan", "llama", "log_mel", "lora", "lru", "lstm", "mask_params",
    "max_pool", "mel_filters", "merge_lora", "metrics", "mgu", "min_gru", "min_lstm", "mixture",
    "mlp", "mse", "nbytes", "net_arguments", "neuron", "next_tokens", "pack_documents",
    "parallel", "pixel_shuffle", "pool_steps",
    "rbf", "recurrent", "remat", "repeat", "residual", "resnet", "rms_norm", "rnn",
    "rnn_classifier", "rnn_language_model", "rnn_tagger", "rotary", "segment_max", "segment_mean",
    "segment_softmax", "segment_sum", "seq2seq", "seq2seq_transformer", "serial",
    "sinusoidal_positions", "som", "spec_augment", "spectral_norm", "spiking",
    "squared_distances", "stack", "summary", "summary_rows", "taps", "text_encoder", "training",
    "transformer", "transformer_block", "unet", "unroll", "upsample", "video_block",
    "video_resnet", "weight_norm", "weighted_sum", "wire", "with_dtype",
]
# fmt: on
check_public(globals(), __all__)


def __getattr__(name: str):
    if name.startswith("_"):  # what Python and its tools ask every module for
        raise AttributeError(f"module 'jaxnn' has no attribute {name!r}")
    spaces = (autoencoder, capsule, ctc, detection, gan, graph, mixture, rbf, som, spiking)
    raise absent(name, __all__, {each.__name__.split(".")[-1]: each.__all__ for each in spaces})
