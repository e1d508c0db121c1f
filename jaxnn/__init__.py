"""Neural networks as named pairs of pure functions over pytrees."""

from jaxnn import augmentation, interop, metrics, training
from jaxnn.arguments import check_public

# Generation: the most likely
from jaxnn.beam import Beams, beam_search

# Combinators
from jaxnn.combine import ensemble, remat, repeat, with_dtype

# The protocol
from jaxnn.core import Cell, Layer, cast, lift
from jaxnn.elsewhere import absent

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
from jaxnn.layers.distance import squared_distances

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

# Layers: rows in segments
from jaxnn.layers.segment import segment_max, segment_mean, segment_softmax, segment_sum

# Layers: sound
from jaxnn.layers.spectrum import log_mel, mel_filters, spec_augment

# Losses and metrics
from jaxnn.losses import accuracy, ignore_label, mse

# Networks: a family a file, or files of one name
from jaxnn.nets import gan, surrogate
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
from jaxnn.nets.boxes import (
    Objects,
    generalized_iou,
    mean_average_precision,
    non_maximum_suppression,
    pack_objects,
    pairwise_iou,
)
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
from jaxnn.nets.centres import (
    Clusters,
    kmeans,
    orthogonal_least_squares,
    rows_as_centres,
    widths,
)
from jaxnn.nets.cnn import convnext, lenet, resnet, unet
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
from jaxnn.nets.expert_parallel import expert_parallel
from jaxnn.nets.fidelity import frechet_distance, manifold_precision_recall
from jaxnn.nets.graph import edgewise, gcn, gin, node_output, nodewise, sage
from jaxnn.nets.graph_attention import gat, gatv2
from jaxnn.nets.graph_batch import batch_graphs, padded_size, take_graphs
from jaxnn.nets.graph_data import (
    Graph,
    degrees,
    edge_mask,
    graph,
    graph_mask,
    node_graphs,
    node_mask,
    undirected,
)
from jaxnn.nets.graph_links import (
    by_receiver,
    hold_out_links,
    link_logits,
    link_loss,
    negative_links,
    sample_neighbours,
)
from jaxnn.nets.graph_message import edge_conditioned, message_passing, virtual_node
from jaxnn.nets.graph_pool import readout, set2set, top_k_pool
from jaxnn.nets.izhikevich import izhikevich
from jaxnn.nets.matrix_capsule import (
    matrix_capsnet,
    matrix_capsules,
    primary_matrix_capsules,
    route_by_em,
    spread_loss,
)
from jaxnn.nets.membrane import leaky_integrator
from jaxnn.nets.mixture import (
    Mixture,
    Tasks,
    expert_usage,
    mixture,
    mixture_loss,
    multi_task,
    multi_task_loss,
)
from jaxnn.nets.mlp import mlp
from jaxnn.nets.modular import (
    average,
    each,
    feature_parts,
    freeze_modules,
    join_features,
    modular,
    module_shardings,
    swap_module,
    take_module,
)
from jaxnn.nets.plasticity import stdp
from jaxnn.nets.pretrained import net_arguments
from jaxnn.nets.quantized import (
    Quantized,
    perplexity,
    quantized,
    quantized_loss,
    vector_quantizer,
)
from jaxnn.nets.rbf import (
    gaussian_kernel,
    inverse_multiquadric_kernel,
    multiquadric_kernel,
    rbf,
    rbf_net,
    ridge,
    thin_plate_kernel,
)
from jaxnn.nets.rnn import (
    attention_decoder,
    linear_rnn,
    rnn,
    rnn_classifier,
    rnn_language_model,
    rnn_tagger,
    seq2seq,
)
from jaxnn.nets.routing import Routing, routed, routings
from jaxnn.nets.som import Sums, map_of_pca, map_of_rows, organize, som, som_sums, som_update
from jaxnn.nets.som_grid import (
    Grid,
    adjacent,
    asymptotic_decay,
    bubble_neighbourhood,
    constant_decay,
    exponential_decay,
    gaussian_neighbourhood,
    grid_distances,
    inverse_decay,
    linear_decay,
    mexican_hat_neighbourhood,
    positions,
    triangle_neighbourhood,
)
from jaxnn.nets.som_measures import (
    component_planes,
    hit_map,
    quantization_error,
    topographic_error,
    u_matrix,
    unit_labels,
)
from jaxnn.nets.som_winners import Mapped, unit_distances, winners
from jaxnn.nets.sparse_mixture import sparse_mixture
from jaxnn.nets.spike_codes import delta_code, latency_code, rate_code
from jaxnn.nets.spike_costs import (
    Scaled,
    dequantize,
    energy,
    quantize,
    synaptic_operations,
)
from jaxnn.nets.spike_losses import (
    count_cross_entropy,
    count_loss,
    first_spikes,
    latency_loss,
    membrane_loss,
    spike_penalty,
)
from jaxnn.nets.spiking import adaptive_lif, lif, synaptic_lif
from jaxnn.nets.spiking_chain import spiking_chain
from jaxnn.nets.spiking_nets import (
    Spiking,
    each_step,
    hold,
    row_blocks,
    spike_rate,
    spiking_cnn,
    spiking_mlp,
    spiking_net,
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

# fmt: off
__all__ = [
    "Beams", "Cell", "Clusters", "EncoderDecoder", "Generated", "Graph", "Grid", "Latent", "Layer",
    "Mapped", "Mixture", "Objects", "Prediction", "Quantized", "Routing", "Scaled", "Spiking",
    "Sums", "Tasks", "accuracy", "adaptive_avg_pool", "adaptive_lif", "adaptive_max_pool", "add",
    "adjacent", "alibi_slopes", "asymptotic_decay", "attention", "attention_decoder",
    "augmentation", "autoencoder", "average", "avg_pool", "batch_graphs", "batch_norm",
    "beam_search", "bernoulli_log_likelihood", "bidirectional", "bubble_neighbourhood",
    "by_receiver", "capsnet", "capsule_decoder", "capsule_lengths", "capsules", "cast", "chunkwise",
    "component_planes", "concatenate", "conditional", "constant_decay", "contraction", "conv",
    "conv_coder", "conv_lstm", "conv_transpose", "convnext", "count_cross_entropy", "count_loss",
    "cross_attention", "ctc_align", "ctc_beam", "ctc_greedy", "ctc_labels", "dcgan_discriminator",
    "dcgan_features", "dcgan_generator", "decayed", "degrees", "delta_code", "dense", "dense_coder",
    "depthwise_conv", "dequantize", "detect", "detection_loss", "detector", "drop_path", "dropout",
    "each", "each_step", "edge_conditioned", "edge_mask", "edgewise", "edit_distance", "elbo",
    "elman", "embedding", "encoder_decoder", "energy", "ensemble", "expert_parallel",
    "expert_usage", "exponential_decay", "feature_parts", "feed_forward", "first_spikes", "flatten",
    "focal_loss", "frechet_distance", "freeze", "freeze_modules", "gan", "gat", "gatv2",
    "gaussian_dropout", "gaussian_kernel", "gaussian_log_likelihood", "gaussian_neighbourhood",
    "gaussian_noise", "gcn", "generalized_iou", "generate", "gin", "global_avg_pool",
    "global_max_pool", "graph", "graph_mask", "grid_distances", "group_norm", "gru", "hit_map",
    "hold", "hold_out_links", "ignore_label", "importance_bound", "init_neuron", "instance_norm",
    "interop", "inverse_decay", "inverse_multiquadric_kernel", "izhikevich", "jacobian_norm",
    "join_features",
    "kl_divergence", "kl_sparsity", "kmeans", "l1_sparsity", "labels", "language_model",
    "latency_code", "latency_loss", "layer_norm", "leaky_integrator", "learned_positions", "lenet",
    "length_mask", "lif", "lift", "linear", "linear_decay", "linear_rnn", "linear_scan",
    "link_logits", "link_loss", "log_mel", "lora", "lru", "lstm", "manifold_precision_recall",
    "map_of_pca", "map_of_rows", "margin_loss", "mask", "mask_capsules", "matrix_capsnet",
    "matrix_capsules", "max_pool", "mean_average_precision", "mel_filters", "membrane_loss",
    "merge_lora", "message_passing", "metrics", "mexican_hat_neighbourhood", "mgu", "min_gru",
    "min_lstm", "mixture", "mixture_loss", "mlp", "modular", "module_shardings", "mse",
    "multi_task", "multi_task_loss", "multiquadric_kernel", "nbytes", "negative_links",
    "net_arguments", "neuron", "node_graphs", "node_mask", "node_output", "nodewise",
    "non_maximum_suppression", "organize",
    "orthogonal_least_squares", "pack_objects", "padded_size", "pairwise_iou", "parallel",
    "perplexity", "pixel_shuffle", "pool_steps", "positions", "primary_capsules",
    "primary_matrix_capsules", "projection_discriminator", "quantization_error", "quantize",
    "quantized", "quantized_loss", "rate_code", "rbf", "rbf_net", "readout", "reconstruction",
    "recurrent", "remat", "repeat", "residual", "resnet", "ridge", "rms_norm", "rnn",
    "rnn_classifier", "rnn_language_model", "rnn_tagger", "rotary", "route_by_agreement",
    "route_by_em", "routed", "routings", "row_blocks", "rows", "rows_as_centres", "sage",
    "sample_neighbours", "segment_max", "segment_mean", "segment_softmax", "segment_sum", "seq2seq",
    "serial", "set2set", "sinusoidal_positions", "size", "som", "som_sums", "som_update",
    "sparse_mixture", "spec_augment", "spectral_norm", "spike_penalty", "spike_rate",
    "spiking_chain", "spiking_cnn", "spiking_mlp", "spiking_net", "spread_loss",
    "squared_distances", "squash", "stack", "stdp", "summary", "surrogate", "swap_module",
    "synaptic_lif", "synaptic_operations", "take_graphs", "take_module", "taps", "text_encoder",
    "thin_plate_kernel", "top_k_pool", "topographic_error", "training", "transformer",
    "transformer_block", "triangle_neighbourhood", "u_matrix", "undirected", "unet",
    "unit_distances", "unit_labels", "unroll", "upsample", "variational", "variational_loss",
    "vector_quantizer", "video_block", "video_resnet", "virtual_node", "weight_norm",
    "weighted_sum", "widths", "winners", "wire", "with_dtype",
]
# fmt: on
check_public(globals(), __all__)


def __getattr__(name: str):
    if name.startswith("_"):  # what Python and its tools ask every module for
        raise AttributeError(f"module 'jaxnn' has no attribute {name!r}")
    raise absent(name, __all__)
