# pyright: reportArgumentType=false, reportOperatorIssue=false
"""Every optimizer and every transformation of optax goes through `step` and `fit` and learns."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn as nn

X = jnp.asarray(np.random.default_rng(0).normal(size=(16, 4)), jnp.float32)
Y = jnp.sin(X[:, :1])
NET = nn.mlp(8, 1)
LOSS = nn.training.supervised(NET, nn.mse)
SGD = optax.sgd(0.05)


def normalized_ascent():
    return optax.chain(optax.contrib.normalize(), optax.sgd(0.02))


def decayed_mask(params):
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


# Those that need more than a learning rate, and wrappers of others.
GIVEN = {
    "adaptive_grad_clip": lambda: optax.chain(optax.adaptive_grad_clip(0.1), SGD),
    "add_decayed_weights": lambda: optax.chain(optax.add_decayed_weights(1e-4), SGD),
    "add_noise": lambda: optax.chain(optax.add_noise(1e-3, 0.5, key=jax.random.key(0)), SGD),
    "apply_every": lambda: optax.chain(optax.apply_every(2), SGD),
    "apply_if_finite": lambda: optax.apply_if_finite(SGD, 3),
    "chain": lambda: optax.chain(optax.clip(1.0), SGD),
    "clip": lambda: optax.chain(optax.clip(1.0), SGD),
    "clip_by_block_rms": lambda: optax.chain(optax.clip_by_block_rms(1.0), SGD),
    "clip_by_global_norm": lambda: optax.chain(optax.clip_by_global_norm(1.0), SGD),
    "conditionally_mask": lambda: optax.conditionally_mask(SGD, lambda step, **_: step >= 0),
    "conditionally_transform": lambda: optax.conditionally_transform(
        SGD, lambda step, **_: step >= 0
    ),
    "ema": lambda: optax.chain(optax.ema(0.5), SGD),
    "flatten": lambda: optax.flatten(SGD),
    "freeze": lambda: optax.chain(SGD, optax.freeze(jax.tree.map(lambda leaf: False, shapes()))),
    "inject_stateful_hyperparams": None,  # it warns that it is to go
    "inject_hyperparams": lambda: optax.inject_hyperparams(optax.sgd)(0.05),
    "keep_params_nonnegative": lambda: optax.chain(SGD, optax.keep_params_nonnegative()),
    "lookahead": None,  # it needs params of its own, a pair of fast and slow ones
    "masked": lambda: optax.chain(optax.masked(optax.clip(1.0), decayed_mask), SGD),
    "measure_with_ema": None,  # it returns a measure, not updates
    "multi_transform": lambda: optax.multi_transform({"all": SGD}, lambda p: labelled(p)),
    "partition": lambda: optax.partition({"all": SGD}, lambda p: labelled(p)),
    "named_chain": lambda: optax.named_chain(("clip", optax.clip(1.0)), ("sgd", SGD)),
    "noisy_sgd": lambda: optax.noisy_sgd(0.05, eta=1e-3, key=0),
    "normalize_by_update_norm": lambda: optax.chain(optax.normalize_by_update_norm(), SGD),
    "scale": lambda: optax.scale(-0.05),
    "scale_by_learning_rate": lambda: optax.scale_by_learning_rate(0.05),
    "scale_by_schedule": lambda: optax.scale_by_schedule(lambda step: -0.05),
    "scale_by_backtracking_linesearch": lambda: optax.chain(
        optax.sgd(1.0), optax.scale_by_backtracking_linesearch(10)
    ),
    "scale_by_zoom_linesearch": lambda: optax.chain(
        optax.sgd(1.0), optax.scale_by_zoom_linesearch(10)
    ),
    "scale_by_lbfgs": lambda: optax.chain(optax.scale_by_lbfgs(), optax.scale(-0.05)),
    "selective_transform": lambda: optax.selective_transform(
        SGD, freeze_mask=jax.tree.map(lambda leaf: False, shapes())
    ),
    "set_to_zero": None,  # it learns nothing
    "monitor": None,  # its first step changes the structure of its state
    "matrix_inverse_pth_root": None,  # these are no transformations
    "sigmoid_binary_cross_entropy": None,
    "update_infinity_moment": None,
    "update_moment": None,
    "update_moment_per_elem_norm": None,
    "contrib.schedule_free_eval_params": None,
    "contrib.hutchinson_estimator_diag_hessian": None,  # it returns an estimate, not updates
    "contrib.dog": lambda: optax.contrib.dog(1.0, ("heuristic", 1e-2)),
    "contrib.dowg": lambda: optax.contrib.dowg(1.0, init_estim_sq_dist=1e-2),
    "skip_not_finite": None,
    "snapshot": lambda: optax.chain(SGD, optax.snapshot("seen", lambda *a, **_: 0.0)),
    "stateless": lambda: optax.stateless(lambda g, p: jax.tree.map(lambda x: -0.05 * x, g)),
    "stateless_with_tree_map": lambda: optax.stateless_with_tree_map(lambda g, p: -0.05 * g),
    "optimistic_adam": None,  # it warns that it is to go
    "adafactor": lambda: optax.adafactor(1e-2, min_dim_size_to_factor=4),
    "scale_by_adadelta": lambda: optax.chain(optax.scale_by_adadelta(), optax.scale(-10.0)),
    "scale_by_distance_over_gradients": lambda: optax.chain(
        optax.scale_by_distance_over_gradients(), optax.scale(-1.0)
    ),
    "scale_by_rprop": lambda: optax.chain(optax.scale_by_rprop(1e-2), optax.scale(-1.0)),
    "trace": lambda: optax.chain(optax.trace(0.9), SGD),
    "with_extra_args_support": lambda: optax.with_extra_args_support(SGD),
    "zero_nans": lambda: optax.chain(optax.zero_nans(), SGD),
    "adadelta": lambda: optax.adadelta(0.5),
    "polyak_sgd": lambda: optax.polyak_sgd(0.5),
    "contrib.acprop": lambda: optax.contrib.acprop(1e-3),
    "contrib.ademamix": lambda: optax.contrib.ademamix(1e-2),
    "contrib.differentially_private_aggregate": None,  # it takes a gradient of each row
    "contrib.dpsgd": None,
    "contrib.reduce_on_plateau": lambda: optax.chain(SGD, optax.contrib.reduce_on_plateau()),
    "contrib.sam": lambda: optax.contrib.sam(SGD, normalized_ascent()),
    "contrib.schedule_free": lambda: optax.contrib.schedule_free(SGD, 0.05),
    "contrib.split_real_and_imaginary": lambda: optax.contrib.split_real_and_imaginary(SGD),
    "contrib.mechanize": lambda: optax.contrib.mechanize(optax.sgd(0.05)),
    "contrib.cocob": lambda: optax.contrib.cocob(0.01),
    "contrib.scale_by_cocob": lambda: optax.contrib.scale_by_cocob(0.01),
    "contrib.momo_adam": lambda: optax.contrib.momo_adam(1e-2),
    "contrib.scale_by_muon": None,  # it takes matrices alone; contrib.muon takes all params
    "contrib.schedule_free_adamw": lambda: optax.contrib.schedule_free_adamw(0.05),
    "contrib.schedule_free_sgd": lambda: optax.contrib.schedule_free_sgd(0.05),
    "contrib.momo": lambda: optax.contrib.momo(0.1),
    "contrib.simplified_ademamix": lambda: optax.contrib.simplified_ademamix(1e-3),
}
# Further ways to put them together, and what they are known to break.
TOGETHER = {
    "sam, opaque": lambda: optax.contrib.sam(SGD, normalized_ascent(), opaque_mode=True),
    "MultiSteps of a plateau": lambda: optax.MultiSteps(
        optax.chain(SGD, optax.contrib.reduce_on_plateau()), 2
    ),
    "MultiSteps of lbfgs": lambda: optax.MultiSteps(optax.lbfgs(), 2),
    "MultiSteps as a transformation": lambda: optax.MultiSteps(SGD, 2).gradient_transformation(),
    "frozen lbfgs": lambda: nn.freeze(optax.lbfgs(), "0/b"),
    "frozen plateau": lambda: nn.freeze(optax.chain(SGD, optax.contrib.reduce_on_plateau()), "0/b"),
    "MultiSteps of an average": lambda: optax.MultiSteps(nn.training.averaged(SGD), 2),
    "an average of lbfgs": lambda: nn.training.averaged(optax.lbfgs()),
    "scaled": lambda: nn.training.loss_scaled(optax.adam(1e-2)),
    "scaled lbfgs": lambda: nn.training.loss_scaled(optax.lbfgs()),
    "scaled MultiSteps of a plateau": lambda: nn.training.loss_scaled(
        optax.MultiSteps(optax.chain(SGD, optax.contrib.reduce_on_plateau()), 2)
    ),
    "a part by lbfgs": lambda: optax.partition(
        {"all": optax.lbfgs(), "none": optax.set_to_zero()},
        lambda params: nn.label_params(params, {"0/b": "none"}, "all"),
        mask_compatible_extra_args=True,
    ),
    "apply_if_finite of lbfgs": lambda: optax.apply_if_finite(optax.lbfgs(), 3),
    "apply_if_finite of a plateau": lambda: optax.apply_if_finite(
        optax.chain(SGD, optax.contrib.reduce_on_plateau()), 3
    ),
    "inject_hyperparams of adam": lambda: optax.inject_hyperparams(optax.adam)(
        learning_rate=optax.cosine_decay_schedule(1e-2, 100)
    ),
    "clipped lbfgs": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.lbfgs()),
}


def shapes():
    return jax.eval_shape(lambda: NET.init(jax.random.key(0), X)[0])


def labelled(params):
    return jax.tree.map(lambda leaf: "all", params)


def found():
    """What optax offers, by name: a maker of an optimizer, or None where it makes none."""
    cases = {}
    for prefix, module in (("", optax), ("contrib.", optax.contrib)):
        for name in dir(module):
            function, title = getattr(module, name), prefix + name
            if name.startswith("_") or not (
                inspect.isfunction(function) or isinstance(function, partial)
            ):
                continue
            # Some say nothing of what they return.
            made = inspect.signature(function).return_annotation
            if made is not inspect.Signature.empty and "GradientTransformation" not in str(made):
                continue
            required = [
                each.name
                for each in inspect.signature(function).parameters.values()
                if each.default is each.empty
                and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
            ]
            if title in GIVEN:
                cases[title] = GIVEN[title]
            elif required == ["learning_rate"]:
                cases[title] = partial(function, 1e-2)
            elif name.startswith("scale_by") and not required:
                cases[title] = lambda f=function: optax.chain(f(), optax.scale(-1e-2))
            elif not required:
                cases[title] = lambda f=function, n=name: (
                    f()
                    if "lbfgs" in n or "prodigy" in n or "dadapt" in n
                    else optax.chain(f(), SGD)
                )
            else:
                cases[title] = lambda title=title, required=required: pytest.fail(
                    f"optax.{title} takes {required}: add it to GIVEN"
                )
    return {name: make for name, make in (cases | TOGETHER).items() if make is not None}


CASES = found()


def test_optimizers_that_say_nothing_of_what_they_return_are_among_them():
    named = {"nadam", "nadamw", "scale_by_factored_rms", "contrib.dog", "contrib.dowg"}
    assert named <= CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_it_learns_and_keeps_the_shapes_of_its_state(name):
    optimizer = CASES[name]()
    step = nn.training.step(LOSS, optimizer)
    train = nn.training.init_train(NET, optimizer, jax.random.key(0), X)
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), train)
    first = nn.training.evaluate(LOSS, train, [(X, Y)])["loss"]
    end = nn.training.fit(step, train, (X, Y), steps=40, batch_size=16, every=20).train
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), end) == shapes
    assert nn.training.evaluate(LOSS, end, [(X, Y)])["loss"] < 0.9 * first


def test_accumulated_lbfgs_steps_are_those_of_the_whole_batch():
    whole, parts = optax.lbfgs(), optax.MultiSteps(optax.lbfgs(), 2)
    results = []
    for optimizer, steps in ((whole, 3), (parts, 6)):
        step = nn.training.step(LOSS, optimizer)
        train = nn.training.init_train(NET, optimizer, jax.random.key(0), X)
        results.append(nn.training.fit(step, train, [(X, Y)], steps=steps).train.params)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), *results)


def test_frozen_params_stay_under_a_line_search():
    optimizer = nn.freeze(optax.lbfgs(), "0/*")
    step = nn.training.step(LOSS, optimizer)
    train = nn.training.init_train(NET, optimizer, jax.random.key(0), X)
    end = nn.training.fit(step, train, (X, Y), steps=10, batch_size=16).train
    frozen = nn.mask_params(train.params, "0/*")
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), train.params, end.params)
    assert jax.tree.leaves(frozen) == [not each for each in jax.tree.leaves(moved)]


def one_step(optimizer):
    """(params before a step, its gradient, params after it)."""
    train = nn.training.init_train(NET, optimizer, jax.random.key(0), X)
    before = jax.device_get(train.params)
    gradient = jax.grad(lambda params: nn.mse(NET(params, X), Y))(before)
    train, _ = nn.training.step(LOSS, optimizer)(train, (X, Y))
    return before, gradient, train.params


def test_a_clipped_step_has_the_length_of_the_formula():
    before, gradient, after = one_step(optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(2.0)))
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(gradient)))
    assert norm > 0.1
    by_hand = jax.tree.map(lambda p, g: p - 2.0 * 0.1 / norm * g, before, gradient)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), after, by_hand)


def test_each_label_has_the_step_of_its_own_optimizer():
    optimizer = optax.partition(
        {"biases": optax.sgd(1.0), "weights": optax.sgd(0.1), "none": optax.set_to_zero()},
        lambda params: nn.label_params(params, {"0/*": "none", "*/b": "biases"}, "weights"),
    )
    before, gradient, after = one_step(optimizer)
    for path, rate in ((0, {"b": 0.0, "w": 0.0}), (-1, {"b": 1.0, "w": 0.1})):
        for name in rate:
            by_hand = before[path][name] - rate[name] * gradient[path][name]
            np.testing.assert_allclose(after[path][name], by_hand, rtol=1e-5, atol=1e-6)


def test_weight_decay_leaves_biases_alone():
    _, _, plain = one_step(optax.adamw(0.1, weight_decay=0.0))
    before, _, decayed = one_step(optax.adamw(0.1, weight_decay=0.5, mask=nn.decayed))
    for layer in (0, -1):
        np.testing.assert_allclose(decayed[layer]["b"], plain[layer]["b"], rtol=1e-6)
        by_hand = plain[layer]["w"] - 0.1 * 0.5 * before[layer]["w"]
        np.testing.assert_allclose(decayed[layer]["w"], by_hand, rtol=1e-5, atol=1e-6)
