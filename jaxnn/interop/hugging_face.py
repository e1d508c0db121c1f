"""The layouts of GPT-2, BERT and Llama as the library `transformers` has them: tables alone.

The networks on our side are `gpt2`, `bert` and `llama`, with the arguments that
`net_arguments(config)` returns.
"""

from collections.abc import Mapping
from typing import Any

from jaxnn.interop.layouts import Layout, NameRow

GPT2 = (
    NameRow("transformer.wte", "embed", "table"),
    NameRow("transformer.wpe", "positions", "table"),
    NameRow("transformer.h.{i}.ln_1", "body.blocks.attention_norm", "norm"),
    NameRow("transformer.h.{i}.attn.c_attn", "body.blocks.attention.qkv", "transposed_linear"),
    NameRow("transformer.h.{i}.attn.c_proj", "body.blocks.attention.out", "transposed_linear"),
    NameRow("transformer.h.{i}.ln_2", "body.blocks.mlp_norm", "norm"),
    NameRow("transformer.h.{i}.mlp.c_fc", "body.blocks.mlp.up", "transposed_linear"),
    NameRow("transformer.h.{i}.mlp.c_proj", "body.blocks.mlp.down", "transposed_linear"),
    NameRow("transformer.ln_f", "body.norm", "norm"),
)
BERT = (
    NameRow("bert.embeddings.word_embeddings", "embed", "table"),
    NameRow("bert.embeddings.position_embeddings", "positions", "table"),
    NameRow("bert.embeddings.token_type_embeddings", "types", "table"),
    NameRow("bert.embeddings.LayerNorm", "embed_norm", "norm"),
    NameRow(
        (
            "bert.encoder.layer.{i}.attention.self.query",
            "bert.encoder.layer.{i}.attention.self.key",
            "bert.encoder.layer.{i}.attention.self.value",
        ),
        "body.blocks.attention.qkv",
        "linear",
    ),
    NameRow("bert.encoder.layer.{i}.attention.output.dense", "body.blocks.attention.out", "linear"),
    NameRow(
        "bert.encoder.layer.{i}.attention.output.LayerNorm", "body.blocks.attention_norm", "norm"
    ),
    NameRow("bert.encoder.layer.{i}.intermediate.dense", "body.blocks.mlp.up", "linear"),
    NameRow("bert.encoder.layer.{i}.output.dense", "body.blocks.mlp.down", "linear"),
    NameRow("bert.encoder.layer.{i}.output.LayerNorm", "body.blocks.mlp_norm", "norm"),
)
LLAMA = (
    NameRow("model.embed_tokens", "embed", "table"),
    NameRow("model.layers.{i}.input_layernorm", "body.blocks.attention_norm", "norm"),
    NameRow(
        (
            "model.layers.{i}.self_attn.q_proj",
            "model.layers.{i}.self_attn.k_proj",
            "model.layers.{i}.self_attn.v_proj",
        ),
        "body.blocks.attention.qkv",
        "linear",
    ),
    NameRow("model.layers.{i}.self_attn.o_proj", "body.blocks.attention.out", "linear"),
    NameRow("model.layers.{i}.post_attention_layernorm", "body.blocks.mlp_norm", "norm"),
    NameRow("model.layers.{i}.mlp.gate_proj", "body.blocks.mlp.gate", "linear"),
    NameRow("model.layers.{i}.mlp.up_proj", "body.blocks.mlp.up", "linear"),
    NameRow("model.layers.{i}.mlp.down_proj", "body.blocks.mlp.down", "linear"),
    NameRow("model.norm", "body.norm", "norm"),
)
HEAD = NameRow("lm_head", "head", "linear")


def layout_for(config: Mapping[str, Any]) -> Layout:
    """The layout of a model by its config.json: of GPT-2, BERT or Llama.

    The layout skips what is not a weight (masks and frequencies in old files) and, for BERT, what
    stands on top of the encoder: its pooler and the heads of its training.

    Args:
      config: the contents of the file.

    Returns:
      The layout, for `from_layout` and `to_layout`.

    Raises:
      ValueError: if the model is none of the three.

    >>> import jaxnn as nn
    >>> nn.interop.layout_for({"model_type": "gpt2"}).tied
    {'lm_head.weight': 'transformer.wte.weight'}
    """
    kind = config.get("model_type")
    if kind == "gpt2":
        passed = ("*.attn.bias", "*.attn.masked_bias")
        return _with_head(Layout(GPT2, "transformer.", passed=passed), config, True)
    if kind == "llama":
        heads = config["num_attention_heads"]
        shared = config.get("num_key_value_heads") or heads
        rows = tuple(
            row._replace(shares=(heads, shared, shared)) if isinstance(row.theirs, tuple) else row
            for row in LLAMA
        )
        return _with_head(Layout(rows, "model.", passed=("*rotary_emb.inv_freq",)), config, False)
    if kind == "bert":
        passed = ("*position_ids", "pooler.*", "bert.pooler.*", "cls.*")
        return Layout(BERT, "bert.", passed=passed)
    raise ValueError(
        f"there is no layout for model_type {kind!r}, but for 'gpt2', 'bert' and 'llama': write "
        "its table as a jaxnn.interop.Layout."
    )


def _with_head(made: Layout, config: Mapping[str, Any], tied: bool) -> Layout:
    """The layout with the weights of its logits: the embedding's, or their own."""
    if config.get("tie_word_embeddings", tied):
        return made._replace(tied={f"{HEAD.theirs}.weight": f"{made.rows[0].theirs}.weight"})
    return made._replace(rows=(*made.rows, HEAD))
