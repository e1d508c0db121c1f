"""Weights from elsewhere and to elsewhere: files of tensors, and the names that others use."""

from jaxnn.arguments import check_public
from jaxnn.interop import nir
from jaxnn.interop.hugging_face import layout
from jaxnn.interop.layouts import Layout, Row, from_layout, to_layout
from jaxnn.interop.names import fill, named
from jaxnn.interop.tensor_file import load, save
from jaxnn.interop.torch_file import load_torch

__all__ = [
    "Layout",
    "Row",
    "fill",
    "from_layout",
    "layout",
    "load",
    "load_torch",
    "named",
    "nir",
    "save",
    "to_layout",
]

check_public(globals(), __all__)
