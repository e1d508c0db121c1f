# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
"""Calls of every public function of jaxnn with one argument changed, and what became of each.

`python -m tests.fuzz START SEED MOST` tries the calls from number START on, and prints a line of
JSON before and after each; `tests/test_fuzz.py` runs it as a process of its own, since a call may
end the process. How a function is called is read off its own doctest: a new one is found.
"""

import ast
import contextlib
import doctest
import functools
import inspect
import io
import json
import random
import re
import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxnn as nn
from jaxnn import core
from tests.registry import ENTRIES

HERE = str(Path(nn.__file__).parent)
ROOMS = {"nn": nn} | {
    f"nn.{name}": getattr(nn, name)
    for name in (
        "training", "interop", "graph", "spiking", "som", "rbf", "capsule", "detection", "mixture",
        "autoencoder", "gan", "ctc",
    )
}  # fmt: skip
SECONDS = 60  # for one call
BYTES = 24 << 30  # of address space: some calls ask for terabytes
LONG = 600  # characters of a message, from which on nobody reads it
PLAIN = (None, "", "zzz", -1, 0, 0.5, float("nan"), float("inf"), 10**12, True, [])


class Call(NamedTuple):
    """A call that works, and what is put in the place of one of its arguments."""

    title: str
    function: Any
    args: tuple
    keywords: dict
    place: Any
    name: str
    said: str
    value: Any


def public() -> dict[str, Any]:
    """Every public function by its name."""
    return {
        f"{room}.{name}": getattr(module, name)
        for room, module in ROOMS.items()
        for name in module.__all__
        if inspect.isfunction(inspect.unwrap(getattr(module, name)))
        or (callable(getattr(module, name)) and not inspect.isclass(getattr(module, name)))
    }


class Found(BaseException):
    """Ends a doctest once the call that it was run for has come."""


def template(title: str, function: Any) -> tuple[tuple, dict] | None:
    """The first call of a function in its own doctest, of arrays that have values."""
    room, name = title.rsplit(".", 1)
    held: list = []

    def recorder(*args, **keywords):
        if not core.traced((args, keywords)):
            held.append((args, keywords))
            raise Found
        return function(*args, **keywords)

    module = sys.modules[inspect.unwrap(function).__module__]
    places = [each for each in (ROOMS[room], module) if hasattr(each, name)]
    saved = [(each, getattr(each, name)) for each in places]
    globs: dict[str, Any] = {"__name__": "doctest", name: recorder}
    for each in places:
        setattr(each, name, recorder)
    try:
        for example in doctest.DocTestParser().get_examples(inspect.getdoc(function) or ""):
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
                exec(compile(example.source, title, "single"), globs)
    except Found:
        pass
    finally:
        for each, before in saved:
            setattr(each, name, before)
    return held[0] if held else None


def is_array(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray) and value.dtype != jax.dtypes.float0


def changes(value: Any) -> list[tuple[str, Any]]:
    """What to put in the place of an argument, each with a word for it."""
    found = [(repr(each), each) for each in PLAIN]
    if isinstance(value, str) and value:
        found.append(("misspelt", value[:-1] + "q"))
    if is_array(value) and not jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        found += [("one axis more", value[None]), ("a list", np.asarray(value).tolist())]
        if value.ndim:
            found += [("first of its rows", value[0]), ("no rows", value[:0])]
            found += [("another width", jnp.concatenate([value, value[..., :1]], -1))]
        found += [(f"as {d.__name__}", value.astype(d))
                  for d in (np.int32, np.bool_, np.complex64, np.float16)]  # fmt: skip
    elif isinstance(value, dict | tuple | list) and jax.tree.leaves(value):
        found += [("another structure", {"zzz": value}), ("cut short", _wider(value))]
    return [(said, each) for said, each in found if each is not value]


def _wider(tree: Any) -> Any:
    """Params as those of a net of another width."""
    return jax.tree.map(
        lambda leaf: jnp.concatenate([leaf, leaf], -1) if is_array(leaf) and leaf.ndim else leaf,
        tree,
    )


def calls(seed: int, most: int) -> list[Call]:
    """The calls in their order: all of them, or as many as are asked for, drawn by the seed."""
    functions = public()
    titles, draw = sorted(functions), random.Random(seed)
    if most:  # a few changes of many functions
        titles = draw.sample(titles, min(len(titles), max(1, most // 3)))
    found = []
    for title in titles:
        given = template(title, functions[title])
        if given is None:
            continue
        each = list(changed_calls(title, functions[title], *given))
        found += draw.sample(each, min(len(each), 3)) if most else each
    return found


def changed_calls(title: str, function: Any, args: tuple, keywords: dict) -> Iterator[Call]:
    """Every call with one argument changed."""
    parameters = list(inspect.signature(function).parameters.values())
    places: list = [
        (i, parameters[min(i, len(parameters) - 1)].name, value) for i, value in enumerate(args)
    ]
    given = {name for _, name, _ in places} | set(keywords)
    places += [(name, name, value) for name, value in keywords.items()]
    places += [
        (p.name, p.name, p.default)
        for p in parameters
        if p.name not in given and p.default is not p.empty
    ]
    for place, name, value in places:
        for said, change in changes(value):
            yield Call(title, function, args, keywords, place, name, said, change)


def changed(call: Call) -> Any:
    args, keywords = list(call.args), dict(call.keywords)
    if isinstance(call.place, int):
        args[call.place] = call.value
    else:
        keywords[call.place] = call.value
    return call.function(*args, **keywords)


def refusal(error: BaseException, call: Call) -> str:
    """What is wrong with an error: nothing, where it is a clear sentence of jaxnn's."""
    said, last = str(error), traceback.extract_tb(error.__traceback__)[-1]
    kinds = inspect.getdoc(call.function) or ""
    told = isinstance(error, OSError) or any(
        each.__name__ in kinds for each in type(error).__mro__[:-3]
    )
    if not isinstance(error, TypeError | ValueError) and not told:
        return f"{type(error).__name__}: {said[:120]}"
    ours = last.filename.startswith(HERE) and last.lineno in raises(last.filename)
    if not ours and not told:
        return f"not ours: {type(error).__name__}: {said[:120]}"
    if len(said) > LONG:
        return f"long ({len(said)} characters): {said[:120]}"
    text = " ".join([said, *getattr(error, "__notes__", [])]).lower().replace("_", " ")
    words = {call.name.lower().replace("_", " "), call.title.rsplit(".", 1)[-1].replace("_", " ")}
    if not isinstance(error, OSError) and not any(word in text for word in words):
        return f"names neither {call.name} nor the function: {said[:120]}"
    return ""


@functools.cache
def raises(path: str) -> frozenset[int]:
    """The lines of a file that are in a statement that raises."""
    nodes = [node for node in ast.walk(ast.parse(Path(path).read_text()))
             if isinstance(node, ast.Raise)]  # fmt: skip
    return frozenset(
        line for node in nodes for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    )


def finite(tree: Any) -> bool:
    return all(
        bool(jnp.isfinite(leaf).all())
        for leaf in jax.tree.leaves(tree)
        if is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact)
    )


INPUTS = [(n, e.input) for n, e in ENTRIES.items()]
FITTING: dict[str, Any] = {}


def fitting(call: Call) -> Any:
    """An input on which the layer of the unchanged call is initialised, or None."""
    if call.title not in FITTING:
        FITTING[call.title] = None
        net = call.function(*call.args, **call.keywords)
        name = call.title.rsplit(".", 1)[-1]
        for _, draw in sorted(INPUTS, key=lambda each: not each[0].startswith(name)):
            x = draw(jax.random.key(0), jnp.float32)
            with contextlib.suppress(Exception):
                jax.eval_shape(lambda x: through(net, x), x)
                FITTING[call.title] = x
                break
    return FITTING[call.title]


def unchanged(call: Call) -> Any:
    """The result of the call as it was."""
    result = call.function(*call.args, **call.keywords)
    layer = isinstance(result, core.Layer | core.Cell)
    return jax.jit(lambda x: through(result, x))(fitting(call)) if layer else result


def through(net: Any, x: Any) -> Any:
    params, state = net.init(jax.random.key(0), x)
    return core.apply_either(
        net, params, state, core.initial_carry(net, params, x), x, key=jax.random.key(1)
    )[0]


def judged(call: Call) -> str:
    """What is wrong with what became of a call, or nothing."""
    try:
        result = changed(call)
        layer = isinstance(result, core.Layer | core.Cell)
        if layer:
            x = fitting(call)
            if x is None:
                return ""
            result = jax.jit(lambda x: through(changed(call), x))(x)
        result = jax.block_until_ready(result)
    except Exception as error:
        return refusal(error, call)
    number = isinstance(call.value, float) and not np.isfinite(call.value)
    spoiled = (layer or not number) and not finite(result) and finite((call.args, call.keywords))
    if spoiled and finite(unchanged(call)):
        return "the result is not finite"
    if call.said == "misspelt":
        return "takes a word that it does not know"
    return ""


def main(start: int, seed: int, most: int) -> None:
    todo = calls(seed, most)
    print(json.dumps({"calls": len(todo)}), flush=True)
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))

    def late(*_):
        raise RuntimeError(f"took more than {SECONDS} seconds")

    signal.signal(signal.SIGALRM, late)
    for i, call in enumerate(todo[start:], start):
        where = f"{call.title}({call.name} = {call.said})"
        module = inspect.unwrap(call.function).__module__
        print(json.dumps({"at": i, "call": where, "module": module}), flush=True)
        signal.alarm(SECONDS)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                wrong = judged(call)
        except BaseException as error:  # what is wrong with the judge is a finding too
            wrong = f"{type(error).__name__}: {str(error)[:120]}"
        signal.alarm(0)
        wrong = re.sub(r"\s+", " ", re.sub(r"0x[0-9a-f]+", "0x", wrong))
        print(json.dumps({"done": i, "wrong": wrong}), flush=True)
        if i % 200 == 199:
            jax.clear_caches()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
