"""Parts of a PyTorch file, written byte by byte."""

import pickle
import zipfile
from pathlib import Path

import numpy as np

NUMBERS = np.arange(6, dtype=np.float32)


def push(value) -> bytes:
    """The part of a pickle that makes a value."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(kind="Float", key="0", count=6, offset=0, shape=(2, 3), strides=(3, 1), word="storage"):
    """The part of a pickle that makes a tensor."""
    pid = b"(" + push(word) + f"ctorch\n{kind}Storage\n".encode() + push(key) + push("cpu")
    storage = pid + push(count) + b"tQ"
    rest = (
        push(offset) + push(shape) + push(strides) + push(False) + b"ccollections\nOrderedDict\n)R"
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"tR"


def entries(**values: bytes) -> bytes:
    """The part of a pickle that makes a dict."""
    return b"}(" + b"".join(push(name) + value for name, value in values.items()) + b"u"


def write(path: Path, program: bytes, data=None, compression=zipfile.ZIP_STORED, **more) -> Path:
    """A file as torch.save writes it, for a pickle."""
    data = {"0": NUMBERS.tobytes()} if data is None else data
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("net/data.pkl", b"\x80\x02" + program + b".")
        for name, content in {"byteorder": b"little", "version": b"3\n", **more}.items():
            archive.writestr(f"net/{name}", content)
        for key, content in data.items():
            archive.writestr(f"net/data/{key}", content)
    return path
