# pyright: reportOptionalSubscript=false
"""Every public function refuses a wrong argument in a clear sentence, or its result is sound.

One argument of a call that works is changed at a time. `JAXNN_FUZZ=1 pytest tests/test_fuzz.py`
tries every change, `JAXNN_FUZZ=0.05` a share of them that `JAXNN_FUZZ_SEED` draws.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARE = float(os.environ.get("JAXNN_FUZZ", "0.05"))
SEED = int(os.environ.get("JAXNN_FUZZ_SEED", "0"))


def findings(share: float = SHARE, seed: int = SEED) -> tuple[dict, list[tuple[str, str, str]]]:
    """What there is to call, and (module, call, what is wrong) of each call that is wrong."""
    found, start, about, calls = [], 0, {}, None
    while calls is None or start < calls:
        command = [sys.executable, "-m", "tests.fuzz", str(start), str(seed), str(share)]
        run = subprocess.run(
            command,
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        at = None
        for line in run.stdout.splitlines():
            said = json.loads(line)
            if "calls" in said:
                about, calls = said, said["calls"]
            elif "at" in said:
                at = said
            else:
                if said["wrong"]:
                    found.append((at["module"], at["call"], said["wrong"]))
                start, at = said["done"] + 1, None
        assert calls is not None, "the process ended before its first call"
        if at is not None:
            found.append((at["module"], at["call"], f"ended the process ({run.returncode})"))
            start = at["at"] + 1
    return about, found


@pytest.mark.skipif("JAXNN_FUZZ" not in os.environ, reason="a report as yet: set JAXNN_FUZZ")
def test_a_wrong_argument_is_refused_in_a_clear_sentence_or_the_result_is_sound():
    _, found = findings()
    assert not found, "\n".join(f"{module}: {call}: {wrong}" for module, call, wrong in found)
