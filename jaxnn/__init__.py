"""Neural networks as named pairs of pure functions over pytrees."""

from jaxnn import augmentation, interop, training

# Generation: the most likely
from jaxnn.beam import Beams, beam_search

# Combinators
from jaxnn.combine import ensemble, remat, repeat, with_dtype

# The protocol
from jaxnn.core import Cell, Layer, cast, lift

# Flows
from jaxnn.flow import add, concatenate, parallel, residual, serial, wire

# Generation: drawn
from jaxnn.generation import Generated, generate

# Looking inside
from jaxnn.inspection import rows, summary, taps

# Layers: attention
from jaxnn.layers.attention import attention, cross_attention

# Layers: recurrent cells
from jaxnn.layers.cells import elman, gru, mgu

# Layers: images
from jaxnn.layers.conv import conv, conv_transpose, depthwise_conv
from jaxnn.layers.dense import dense

# Layers: tokens and their positions
from jaxnn.layers.embed import embedding, learned_positions, sinusoidal_positions
from jaxnn.layers.feed_forward import feed_forward
from jaxnn.layers.linear_recurrent import linear_scan, lru, min_gru, min_lstm
from jaxnn.layers.lora import lora, merge_lora
from jaxnn.layers.lstm import conv_lstm, lstm
from jaxnn.layers.neuron import init_neuron, linear, neuron, weighted_sum

# Layers: noise, norms and reparametrizations
from jaxnn.layers.noise import drop_path, dropout, gaussian_dropout, gaussian_noise
from jaxnn.layers.norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from jaxnn.layers.pool import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    global_avg_pool,
    global_max_pool,
    max_pool,
)
from jaxnn.layers.reparam import spectral_norm, weight_norm
from jaxnn.layers.reshape import flatten, pixel_shuffle, upsample
from jaxnn.layers.rotary import alibi_slopes, rotary

# Layers: sound
from jaxnn.layers.spectrum import log_mel, mel_filters, spec_augment

# Losses and metrics
from jaxnn.losses import accuracy, mse

# Networks: adversarial
from jaxnn.nets import gan

# Networks: autoencoders
from jaxnn.nets.autoencoder import (
    autoencoder,
    contraction,
    conv_coder,
    dense_coder,
    jacobian_norm,
    kl_sparsity,
    l1_sparsity,
    reconstruction,
)

# Networks: images, and the objects in them
from jaxnn.nets.boxes import (
    Objects,
    generalized_iou,
    mean_average_precision,
    non_maximum_suppression,
    pack_objects,
    pairwise_iou,
)

# Networks: capsules
from jaxnn.nets.capsule import (
    capsnet,
    capsule_lengths,
    capsules,
    margin_loss,
    primary_capsules,
    route_by_agreement,
    squash,
)
from jaxnn.nets.capsule_decoder import capsule_decoder, mask_capsules
from jaxnn.nets.cnn import convnext, lenet, resnet, unet

# Networks: labels without alignment
from jaxnn.nets.ctc import ctc_align, ctc_beam, ctc_greedy, ctc_labels, edit_distance
from jaxnn.nets.dcgan import (
    conditional,
    dcgan_discriminator,
    dcgan_features,
    dcgan_generator,
    projection_discriminator,
)
from jaxnn.nets.detection import Prediction, detect, detection_loss, detector, focal_loss
from jaxnn.nets.encoder_decoder import EncoderDecoder, encoder_decoder
from jaxnn.nets.fidelity import frechet_distance, manifold_precision_recall
from jaxnn.nets.matrix_capsule import (
    matrix_capsnet,
    matrix_capsules,
    primary_matrix_capsules,
    route_by_em,
    spread_loss,
)

# Networks
from jaxnn.nets.mlp import mlp

# Networks: pretrained
from jaxnn.nets.pretrained import net_arguments

# Networks: autoencoders of a drawn or chosen code
from jaxnn.nets.quantized import (
    Quantized,
    perplexity,
    quantized,
    quantized_loss,
    vector_quantizer,
)

# Networks: recurrent
from jaxnn.nets.rnn import (
    attention_decoder,
    linear_rnn,
    rnn,
    rnn_classifier,
    rnn_language_model,
    rnn_tagger,
    seq2seq,
)
from jaxnn.nets.text import language_model, text_encoder
from jaxnn.nets.transformer import transformer, transformer_block
from jaxnn.nets.variational import (
    Latent,
    bernoulli_log_likelihood,
    elbo,
    gaussian_log_likelihood,
    importance_bound,
    kl_divergence,
    variational,
    variational_loss,
)

# Networks: video
from jaxnn.nets.video import video_block, video_resnet

# Sequences
from jaxnn.padding import length_mask, pool_steps
from jaxnn.sequence import (
    bidirectional,
    chunkwise,
    recurrent,
    stack,
    unroll,
)

# Pytrees of params
from jaxnn.tree import decayed, freeze, labels, mask, nbytes, size

__version__ = "0.1.0"

__all__ = [
    "Beams",
    "Cell",
    "Generated",
    "EncoderDecoder",
    "Latent",
    "Layer",
    "Objects",
    "Prediction",
    "Quantized",
    "accuracy",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "add",
    "alibi_slopes",
    "attention",
    "attention_decoder",
    "augmentation",
    "autoencoder",
    "avg_pool",
    "batch_norm",
    "beam_search",
    "bernoulli_log_likelihood",
    "bidirectional",
    "capsnet",
    "capsule_decoder",
    "capsule_lengths",
    "capsules",
    "cast",
    "chunkwise",
    "concatenate",
    "conditional",
    "contraction",
    "conv",
    "conv_coder",
    "conv_lstm",
    "conv_transpose",
    "convnext",
    "cross_attention",
    "ctc_align",
    "ctc_beam",
    "ctc_greedy",
    "ctc_labels",
    "dcgan_discriminator",
    "dcgan_features",
    "dcgan_generator",
    "decayed",
    "dense",
    "dense_coder",
    "depthwise_conv",
    "detect",
    "detection_loss",
    "detector",
    "drop_path",
    "dropout",
    "edit_distance",
    "elbo",
    "elman",
    "embedding",
    "encoder_decoder",
    "ensemble",
    "feed_forward",
    "flatten",
    "focal_loss",
    "frechet_distance",
    "freeze",
    "gan",
    "gaussian_dropout",
    "gaussian_log_likelihood",
    "gaussian_noise",
    "generalized_iou",
    "generate",
    "global_avg_pool",
    "global_max_pool",
    "group_norm",
    "gru",
    "importance_bound",
    "init_neuron",
    "instance_norm",
    "interop",
    "jacobian_norm",
    "kl_divergence",
    "kl_sparsity",
    "l1_sparsity",
    "labels",
    "language_model",
    "layer_norm",
    "learned_positions",
    "lenet",
    "length_mask",
    "lift",
    "linear",
    "linear_rnn",
    "linear_scan",
    "log_mel",
    "lora",
    "lru",
    "lstm",
    "manifold_precision_recall",
    "margin_loss",
    "mask",
    "mask_capsules",
    "matrix_capsnet",
    "matrix_capsules",
    "max_pool",
    "mean_average_precision",
    "mel_filters",
    "merge_lora",
    "mgu",
    "min_gru",
    "min_lstm",
    "mlp",
    "mse",
    "nbytes",
    "net_arguments",
    "neuron",
    "non_maximum_suppression",
    "pack_objects",
    "pairwise_iou",
    "parallel",
    "perplexity",
    "pixel_shuffle",
    "pool_steps",
    "primary_capsules",
    "primary_matrix_capsules",
    "projection_discriminator",
    "quantized",
    "quantized_loss",
    "reconstruction",
    "recurrent",
    "remat",
    "repeat",
    "residual",
    "resnet",
    "rms_norm",
    "rnn",
    "rnn_classifier",
    "rnn_language_model",
    "rnn_tagger",
    "rotary",
    "route_by_agreement",
    "route_by_em",
    "rows",
    "seq2seq",
    "serial",
    "sinusoidal_positions",
    "size",
    "spec_augment",
    "spectral_norm",
    "spread_loss",
    "squash",
    "stack",
    "summary",
    "taps",
    "text_encoder",
    "training",
    "transformer",
    "transformer_block",
    "unet",
    "unroll",
    "upsample",
    "variational",
    "variational_loss",
    "vector_quantizer",
    "video_block",
    "video_resnet",
    "weight_norm",
    "weighted_sum",
    "wire",
    "with_dtype",
]
