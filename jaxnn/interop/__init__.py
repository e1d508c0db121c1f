"""Weights from elsewhere and to elsewhere: files of tensors, and the names that others use."""

from jaxnn.arguments import check_public
from jaxnn.interop import nir
from jaxnn.interop.hugging_face import layout_for
from jaxnn.interop.layouts import Layout, NameRow, from_layout, to_layout
from jaxnn.interop.names import flatten_names, load_into
from jaxnn.interop.tensor_file import load, save
from jaxnn.interop.torch_file import load_torch

__all__ = [
    "Layout",
    "NameRow",
    "load_into",
    "from_layout",
    "layout_for",
    "load",
    "load_torch",
    "flatten_names",
    "nir",
    "save",
    "to_layout",
]

check_public(globals(), __all__)
