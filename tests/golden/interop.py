"""Small random models of `transformers`, and a state dict as PyTorch writes it."""

import io
import json

import numpy as np
import torch
import transformers

BATCH, TIME, NEW = 3, 7, 9  # rows, tokens a row, tokens generated
SMALL = {"vocab_size": 40, "bos_token_id": 0, "eos_token_id": None, "pad_token_id": None}
CONFIGS = {
    "gpt2": transformers.GPT2Config(n_embd=16, n_layer=3, n_head=2, n_positions=24, **SMALL),
    "gpt2_untied": transformers.GPT2Config(
        n_embd=16,
        n_layer=2,
        n_head=4,
        n_positions=24,
        n_inner=24,
        activation_function="gelu",
        tie_word_embeddings=False,
        **SMALL,
    ),
    "bert": transformers.BertConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=24,
        type_vocab_size=2,
        **SMALL | {"pad_token_id": 0},
    ),
    "llama": transformers.LlamaConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=24,
        max_position_embeddings=24,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        rms_norm_eps=1e-5,
        **SMALL,
    ),
    "llama_tied": transformers.LlamaConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=24,
        tie_word_embeddings=True,
        attention_bias=True,
        mlp_bias=True,
        **SMALL,
    ),
}


def cases() -> dict[str, dict[str, np.ndarray]]:
    torch.manual_seed(0)
    return {
        **{name: case(*model(config)) for name, config in CONFIGS.items()},
        "torch_file": torch_file(),
    }


def model(config) -> tuple:
    """(A model of random weights, tokens int [BATCH, TIME])."""
    kind = type(config).__name__.removesuffix("Config")
    suffix = "Model" if kind == "Bert" else "LMHeadModel" if kind == "GPT2" else "ForCausalLM"
    made = getattr(transformers, kind + suffix)(config).eval()
    for name, weight in made.named_parameters():
        # Biases and scales begin as zeros and ones, which would hide where they go.
        scale = weight.ndim == 1 and name.endswith("weight")
        torch.nn.init.normal_(weight, float(scale), 0.5 if weight.ndim == 2 else 0.1)
    return made, torch.randint(1, config.vocab_size, (BATCH, TIME))


@torch.no_grad()
def case(made, tokens) -> dict[str, np.ndarray]:
    """The configuration, the weights, and what the model makes of tokens, in float64."""
    config = made.config.to_dict()
    weights = {f"weight/{name}": value.numpy() for name, value in made.state_dict().items()}
    found = {"config": np.array(json.dumps(config)), "tokens": tokens.numpy(), **weights}
    made.double()
    if config["model_type"] == "bert":
        lengths, types = torch.tensor([TIME, 4, 1]), torch.randint(0, 2, tokens.shape)
        mask = torch.arange(TIME) < lengths[:, None]
        y = made(tokens, attention_mask=mask.long(), token_type_ids=types).last_hidden_state
        plain = made(tokens, attention_mask=mask.long()).last_hidden_state
        more = {"lengths": lengths, "types": types, "plain": plain}
        return found | {"output": y.numpy()} | {name: v.numpy() for name, v in more.items()}
    grown = made.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=NEW,
        do_sample=False,
        pad_token_id=0,
    )
    return found | {"output": made(tokens).logits.numpy(), "generated": grown[:, TIME:].numpy()}


def torch_file() -> dict[str, np.ndarray]:
    """The bytes of a .pt file, and its tensors; bfloat16, which NumPy has not, as bits."""
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    wide = torch.randn(4, 6)
    held = {
        **net.state_dict(),
        "parameter": net[0].weight,
        "turned": wide.T,
        "strided": wide[1:, ::2],
        "spread": wide[0, :1].expand(3),
        "empty": wide[:0],
        "half": wide.half(),
        "double": wide.double(),
        "integers": torch.arange(5),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "flags": wide > 0,
    }
    memory = io.BytesIO()
    torch.save(held | {"bfloat16": wide.bfloat16()}, memory)
    return {
        "file": np.frombuffer(memory.getvalue(), np.uint8),
        "bfloat16": wide.bfloat16().view(torch.uint16).numpy(),
        **{f"value/{name}": value.detach().numpy() for name, value in held.items()},
    }
