"""Every public function refuses a wrong argument in a clear sentence, or its result is sound.

One argument of a call that works is changed at a time. `JAXNN_FUZZ=0 pytest tests/test_fuzz.py`
tries every change, `JAXNN_FUZZ=1000` as many as it says, which `JAXNN_FUZZ_SEED` draws.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import fuzz

HERE = Path(__file__).parents[1]
MOST = int(os.environ.get("JAXNN_FUZZ", "600"))
SEED = int(os.environ.get("JAXNN_FUZZ_SEED", "0"))


def findings(most: int, seed: int, folder: Path) -> list[str]:
    """What is wrong with what became of each call, in processes that a call may end.

    folder: where they run, since some calls write files.
    """
    found, start, calls = [], 0, None
    while calls is None or start < calls:
        command = [sys.executable, "-m", "tests.fuzz", str(start), str(seed), str(most)]
        at: Any = None
        with subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"JAX_NUM_CPU_DEVICES": "8", "PYTHONPATH": str(HERE)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as run:
            for said in map(json.loads, run.stdout or ()):
                if "calls" in said:
                    calls = said["calls"]
                elif "at" in said:
                    at = said
                else:
                    if said["wrong"]:
                        found.append(f"{at['module']}: {at['call']}: {said['wrong']}")
                    start, at = said["done"] + 1, None
        assert calls is not None, "the process ended before its first call"
        if at is not None:
            found.append(f"{at['module']}: {at['call']}: ended the process ({run.returncode})")
            start = at["at"] + 1
    return found


def test_a_wrong_argument_is_refused_in_a_clear_sentence_or_the_result_is_sound(tmp_path):
    found = findings(MOST, SEED, tmp_path)
    assert not found, "\n".join(found)


def test_every_public_function_is_called_in_its_own_doctest():
    functions = fuzz.public()
    elsewhere = {"nn.identity", "nn.training.compile_for", "nn.training.report"}
    unreached = {title for title, f in functions.items() if fuzz.template(title, f) is None}
    assert unreached <= elsewhere, unreached - elsewhere
