"""`python -m jaxnn.plan`."""

import pytest

from jaxnn.plan import main


def run(capsys, *arguments):
    code = main([*arguments, "--no-compiler"])
    return code, capsys.readouterr()


GPT = "gpt2(64, 16, 2, 2, length=8)"


def test_a_language_model_is_planned_by_its_expression(capsys):
    code, said = run(capsys, GPT, "--topology", "v5e:2x2", "--batch", "8x8")
    assert code == 0
    assert "v5e:2x2 (devices: 4), data_parallel(data=4): estimated, not compiled" in said.out
    assert "tokens/s" in said.out


def test_a_product_of_shardings_over_a_mesh(capsys):
    sharding = ("--sharding", "fully_sharded*tensor_parallel", "--mesh", "data=2,model=2")
    code, said = run(capsys, GPT, "--topology", "v5e:2x2", "--batch", "8x8", *sharding)
    assert code == 0
    assert "fully_sharded(data=2) * tensor_parallel(model=2)" in said.out


def test_images_are_floats_and_bfloat16_is_a_flag(capsys):
    code, said = run(
        capsys, "lenet(10)", "--topology", "h100", "--batch", "8x28x28x1", "--dtype", "bfloat16"
    )
    assert code == 0
    assert "bfloat16" in said.out
    assert "samples/s" in said.out


def test_a_cell_is_planned_with_its_cache(capsys):
    cell = "gpt2(64, 16, 2, 2, length=8, capacity=8)"
    code, said = run(capsys, cell, "--topology", "h100", "--batch", "8x8")
    assert code == 0
    assert "cache of all devices for serving" in said.out


def test_a_function_of_a_module_brings_a_step(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import jax.numpy as jnp\n\ndef make():\n"
        "    return lambda w, x: (w - x.mean(0), {}), jnp.ones(4), jnp.ones((8, 4))\n"
    )
    code, said = run(capsys, "mine:make", "--topology", "v5e:2x2", "--batch", "8x4")
    assert code == 0
    assert "params       4" in said.out


def test_the_search_prints_a_table(capsys):
    code, said = run(capsys, GPT, "--topology", "v5e:2x2", "--batch", "16x8", "--fit")
    assert code == 0
    lines = said.out.strip().split("\n")
    assert lines[0].startswith("sharding")
    assert len(lines) == 5  # two shardings, with and without remat


def test_what_does_not_fit_is_a_failure(capsys):
    code, said = run(capsys, "llama()", "--topology", "v5e:2x2", "--batch", "8x2048")
    assert code == 1
    assert "does not fit" in said.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((GPT, "--topology", "v5x", "--batch", "8x8"), "did you mean 'v5p'"),
        ((GPT, "--topology", "v5e", "--batch", "8by8"), "shape such as 256x2048"),
        ((GPT, "--topology", "v5e:2x2", "--batch", "6x8"), "rows"),
        ((GPT, "--topology", "v5e", "--batch", "8x8", "--sharding", "fsdp"), "use data_parallel"),
        ((GPT, "--topology", "v5e", "--batch", "8x8", "--mesh", "data"), "data=32,model=8"),
        (("gpt3()", "--topology", "v5e", "--batch", "8x8"), "did you mean gpt2"),
        (("gpt2", "--topology", "v5e", "--batch", "8x8"), "call it"),
        (("gpt2(", "--topology", "v5e", "--batch", "8x8"), "no expression"),
        (("no_such:net", "--topology", "v5e", "--batch", "8x8"), "No module named 'no_such'"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(capsys, arguments, message):
    code, said = run(capsys, *arguments)
    assert code == 2
    assert message in said.err
