"""The pickle inside a file of PyTorch's, read without running it.

A pickle is a program. Here it may name a few functions, which are ours, and make dicts, lists,
tuples, numbers and strings. Anything else that it names becomes an `Unknown`, which is
never called. What it builds are plain tuples that say where a tensor lies.

It runs in Python's own reader of pickles, since the one in C takes memory for a place that a pickle
merely names, and hashes keys that can hold themselves many times over.
"""

import io
import pickle
from collections import OrderedDict
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

DTYPES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": jnp.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
    "ComplexFloatStorage": np.complex64,
    "ComplexDoubleStorage": np.complex128,
}
AXES = 64  # PyTorch's own limit


class Storage(NamedTuple):
    """Numbers that lie side by side in the file."""

    kind: str
    key: str
    count: int


class Tensor(NamedTuple):
    """A tensor: numbers of a storage from an offset on, with strides in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Unknown(NamedTuple):
    """What a pickle asks for and is not given, by its name."""

    name: str


class _Kind(NamedTuple):
    """The class of a storage."""

    name: str


def read_pickle(file: io.BufferedIOBase, path: str) -> Any:
    """What the next pickle of a file builds; raises ValueError where it is damaged or hostile."""
    try:
        return _Reader(file, encoding="utf-8").load()
    except Exception as error:  # a pickle can go wrong in any way
        said = str(error) or type(error).__name__
        raise ValueError(f"{path} was refused: {said}. No code of it is run.") from error


def _whole(value: Any) -> int:
    if type(value) is not int or abs(value) >= 1 << 62:
        raise pickle.UnpicklingError(f"a size is {type(value).__name__}, not a whole number")
    return value


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or len(value) > AXES:
        raise pickle.UnpicklingError("the shape of a tensor is no short tuple")
    return tuple(_whole(each) for each in value)


def _rebuild_tensor(storage, offset, shape, strides, *rest):
    if type(storage) is not Storage:
        raise pickle.UnpicklingError("a tensor lies in no storage")
    return Tensor(storage, _whole(offset), _sizes(shape), _sizes(strides))


def _rebuild_parameter(view, *rest):
    return view


def _size(axes=()):
    return _sizes(axes)


def _dict(*items):
    if items and items != ((),) and items != ([],):
        raise pickle.UnpicklingError("an ordered dict is made of its items")
    return OrderedDict()


ADMITTED = {
    ("collections", "OrderedDict"): _dict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch", "Size"): _size,
}
FUNCTIONS = tuple(set(ADMITTED.values()))


class _Reader(pickle._Unpickler):  # pyright: ignore[reportAttributeAccessIssue]
    """Python's reader, whose steps that call or hash what the pickle made are ours."""

    dispatch: ClassVar[dict] = dict(pickle._Unpickler.dispatch)  # pyright: ignore

    def find_class(self, module: str, name: str, /) -> Any:
        if module == "torch" and name in DTYPES:
            return _Kind(name)
        return ADMITTED.get((module, name), Unknown(f"{module}.{name}"))

    def persistent_load(self, pid: Any, /) -> Storage:
        fits = isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage"
        if not fits or type(pid[1]) is not _Kind or type(pid[2]) is not str:
            asked = pid[1].name if fits and isinstance(pid[1], Unknown) else "no storage of numbers"
            raise pickle.UnpicklingError(f"its pickle asks for {asked} as a storage")
        if len(pid) == 6 and pid[5] is not None:
            raise pickle.UnpicklingError("a storage is a view of another: clone it before saving")
        return Storage(pid[1].name, pid[2], _whole(pid[4]))

    def load_reduce(self):
        given = self.stack.pop()  # pyright: ignore[reportAttributeAccessIssue]
        function = self.stack[-1]  # pyright: ignore[reportAttributeAccessIssue]
        if any(function is each for each in FUNCTIONS) and isinstance(given, tuple):
            self.stack[-1] = function(*given)  # pyright: ignore[reportAttributeAccessIssue]
        elif not isinstance(function, Unknown):
            raise pickle.UnpicklingError(f"its pickle calls a {type(function).__name__}")

    def load_new(self):
        # An object of an unknown class, or an ordered dict, without its arguments.
        self.stack.pop()  # pyright: ignore[reportAttributeAccessIssue]
        if self.stack[-1] is _dict:  # pyright: ignore[reportAttributeAccessIssue]
            self.stack[-1] = OrderedDict()  # pyright: ignore[reportAttributeAccessIssue]
        elif not isinstance(self.stack[-1], Unknown):  # pyright: ignore[reportAttributeAccessIssue]
            raise pickle.UnpicklingError("its pickle makes an object of what is no class")

    def load_new_named(self):
        self.stack.pop()  # pyright: ignore[reportAttributeAccessIssue]
        self.load_new()

    def load_build(self):
        # The attributes of an object: those of a state dict name versions, which nothing needs.
        self.stack.pop()  # pyright: ignore[reportAttributeAccessIssue]

    def load_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()  # pyright: ignore
        self._put(self.stack[-1], [key, value])  # pyright: ignore[reportAttributeAccessIssue]

    def load_setitems(self):
        items = self.pop_mark()  # pyright: ignore[reportAttributeAccessIssue]
        self._put(self.stack[-1], items)  # pyright: ignore[reportAttributeAccessIssue]

    def load_dict(self):
        items = self.pop_mark()  # pyright: ignore[reportAttributeAccessIssue]
        held: dict = {}
        self._put(held, items)
        self.append(held)  # pyright: ignore[reportAttributeAccessIssue]

    def _put(self, held: Any, items: list) -> None:
        if isinstance(held, Unknown):
            return
        if type(held) not in (dict, OrderedDict) or len(items) % 2:
            raise pickle.UnpicklingError("its pickle puts items into what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # A tuple may hold another twice, that one another twice, and so on: it is not hashed.
            if type(key) not in (str, int, float, bool, type(None)):
                raise pickle.UnpicklingError(f"a key of a dict is a {type(key).__name__}")
            held[key] = value

    def load_refused(self):
        raise pickle.UnpicklingError("its pickle makes what no file of tensors holds")

    for _codes, _step in (
        (pickle.REDUCE, load_reduce),
        (pickle.NEWOBJ, load_new),
        (pickle.NEWOBJ_EX, load_new_named),
        (pickle.BUILD, load_build),
        (pickle.SETITEM, load_setitem),
        (pickle.SETITEMS, load_setitems),
        (pickle.DICT, load_dict),
        # Instances by their class, extension codes, sets, and buffers beside the pickle.
        (pickle.INST + pickle.OBJ + pickle.EXT1 + pickle.EXT2 + pickle.EXT4, load_refused),
        (pickle.EMPTY_SET + pickle.ADDITEMS + pickle.FROZENSET, load_refused),
        (pickle.BYTEARRAY8 + pickle.NEXT_BUFFER + pickle.READONLY_BUFFER, load_refused),
    ):
        for _code in _codes:
            dispatch[_code] = _step
