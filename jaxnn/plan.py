"""`python -m jaxnn.plan NET --topology v5e:16x16`: what training a network takes, before renting.

NET is an expression of this library, such as "gpt2()" or "llama(remat=True)", or module:function,
a function without arguments that returns a network, or (step, train, batch).
"""

import argparse
import importlib
import inspect
import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import jaxnn as nn
from jaxnn.core import Cell, Layer
from jaxnn.training.planning.search import table

RECIPES = ("data_parallel", "fully_sharded", "tensor_parallel", "expert_parallel")
RECIPES += ("sequence_parallel",)


class Problem(NamedTuple):
    """A step, shapes of its train and batch, and the cell that serves, if there is one."""

    step: Any
    train: Any
    batch: Any
    cell: Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0 if the step fits, 1 if not, 2 if none is planned."""
    options = _parser().parse_args(arguments)
    # Nothing runs, so no device is needed; plugins that find none print long warnings.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    jax.config.update("jax_platforms", "cpu")
    given: dict[str, Any] = {"topology": options.topology, "share": options.share}
    given["compiler"] = False if options.no_compiler else None
    try:
        given["mesh"] = _mesh(options.mesh)
        shape = _sizes(options.batch)
        if options.fit:
            choices = nn.training.search_plans(
                _maker(options, shape), shape[0], shardings=_recipes(options.sharding), **given
            )
            print(table(choices))
            return 0 if choices[0].plan.fits is not False else 1
        problem = _problem(_net(options.net), options, shape)
        (recipe,) = _recipes(options.sharding or "data_parallel").values()
        plan = nn.training.plan(*problem[:3], sharding=recipe, cell=problem.cell, **given)
    except (ValueError, TypeError, ImportError, NameError, AttributeError) as error:
        print(f"plan: {error}", file=sys.stderr)
        return 2
    print(nn.training.report(plan))
    return 0 if plan.fits is not False else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m jaxnn.plan", description=__doc__)
    parser.add_argument("net", metavar="NET")
    parser.add_argument("--topology", required=True, help="v5e:16x16, 2*v5p:4x4x4, h100:64, cpu")
    parser.add_argument(
        "--sharding",
        help=f"{', '.join(RECIPES)}, or a product",
    )
    parser.add_argument("--mesh", help="axes, such as data=32,model=8; all along data by default")
    parser.add_argument(
        "--batch", required=True, help="its shape, such as 256x2048 tokens or 64x32x32x3 floats"
    )
    parser.add_argument("--optimizer", default="adamw(1e-3)", help="of optax, adamw(1e-3)")
    parser.add_argument("--loss", choices=("cross_entropy", "mse"), default="cross_entropy")
    parser.add_argument("--dtype", help="of the computation, such as bfloat16; float32 by default")
    parser.add_argument("--share", type=float, default=0.4, help="of the roofline, 0.4 by default")
    parser.add_argument("--no-compiler", action="store_true", help="estimate, do not compile")
    parser.add_argument(
        "--fit", action="store_true", help="search batch, remat and sharding for what fits"
    )
    return parser


def _net(text: str, remat: bool | None = None) -> Any:
    """What the command line names; with `remat`, where a network can be told to recompute."""
    if re.fullmatch(r"[\w.]+:\w+", text):
        module, _, name = text.partition(":")
        sys.path.insert(0, os.getcwd())
        return getattr(importlib.import_module(module), name)()
    names: dict[str, Any] = {name: getattr(nn, name) for name in nn.__all__}
    if remat is not None:
        for name, value in names.items():
            if inspect.isfunction(value) and "remat" in inspect.signature(value).parameters:
                names[name] = partial(value, remat=remat)
    try:
        return eval(text, {"nn": nn, "jax": jax, "jnp": jnp, "partial": partial, **names})
    except NameError as error:
        getattr(nn, str(error.name))  # says where it is
        raise
    except SyntaxError as error:
        raise ValueError(f"NET is no expression, {text!r}: write such as 'gpt2()'.") from error


def _problem(net: Any, options: argparse.Namespace, shape: tuple[int, ...]) -> Problem:
    if isinstance(net, tuple):
        step, train, batch = net
        return Problem(step, train, batch, None)
    if not isinstance(net, Layer | Cell):
        raise TypeError(f"NET is no network but {net!r}: call it, such as 'gpt2()'.")
    cell = net if isinstance(net, Cell) else None
    layer = nn.unroll(net) if isinstance(net, Cell) else net
    layer = nn.with_dtype(layer, jnp.dtype(options.dtype)) if options.dtype else layer
    key = jax.random.key(0)
    x, y = _shapes(layer, key, shape)
    if options.loss == "mse":
        target, loss = y, nn.mse
    else:
        target = jax.ShapeDtypeStruct(y.shape[:-1], jnp.int32)
        loss = optax.softmax_cross_entropy_with_integer_labels
    optimizer = eval(options.optimizer, {"optax": optax, **vars(optax)})
    train = jax.eval_shape(lambda: nn.training.init_train(layer, optimizer, key, x))
    step = nn.training.step(nn.training.supervised(layer, loss), optimizer)
    return Problem(step, train, (x, target), cell)


def _shapes(net: Any, key: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Input and output: tokens, if the net takes them, otherwise floats."""

    def through(x):
        params, state = jax.eval_shape(net.init, key, x)
        y = jax.eval_shape(lambda p, s, x: net.apply(p, s, x)[0], params, state, x)
        return x, y

    tokens = jax.ShapeDtypeStruct(shape, jnp.int32)
    floats = jax.ShapeDtypeStruct(shape, jnp.float32)
    try:
        return through(tokens)
    except TypeError:
        return through(floats)


def _maker(options: argparse.Namespace, shape: tuple[int, ...]) -> Any:
    fixed = repr(_net(options.net))

    def make(remat, rows):
        if remat and repr(_net(options.net, True)) == repr(_net(options.net, False)):
            return None  # it has no such form, or says itself which
        net = _net(options.net, remat)
        if isinstance(net, tuple):
            raise ValueError(
                f"--fit makes batches anew, and {fixed} brings its own: name a network."
            )
        return tuple(_problem(net, options, (rows, *shape[1:])))[:3]

    return make


def _recipes(text: str | None) -> dict[str, Any]:
    """Shardings by name; without one, those over rows that suit every network."""
    if text is None:
        return {name: getattr(nn.training, name) for name in RECIPES[:2]}
    made = []
    for name in text.replace(" ", "").split("*"):
        if name not in RECIPES:
            raise ValueError(f"sharding {name!r} is unknown: use {', '.join(RECIPES)}.")
        made.append(getattr(nn.training, name))

    def product(mesh):
        over = made[0](mesh)
        for each in made[1:]:
            over = over * each(mesh)
        return over

    return {text: product}


def _mesh(text: str | None) -> dict[str, int] | None:
    if text is None:
        return None
    if not re.fullmatch(r"\w+=[1-9]\d*(,\w+=[1-9]\d*)*", text):
        raise ValueError(f"--mesh is axes and their sizes, data=32,model=8, not {text!r}.")
    return {name: int(size) for name, size in (axis.split("=") for axis in text.split(","))}


def _sizes(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", text):
        raise ValueError(f"--batch is a shape such as 256x2048, not {text!r}.")
    return tuple(map(int, text.split("x")))


if __name__ == "__main__":
    sys.exit(main())
