"""The part on 8 devices, as a process: JAX fixes the number of devices when it starts."""

import json
import os
import subprocess
import sys


def start() -> subprocess.Popen:
    """Start the process, which runs `examples.modular.eight_devices`."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment["JAX_PLATFORMS"] = "cpu"
    command = [sys.executable, "-m", "examples.modular.eight_devices"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)


def finish(process: subprocess.Popen) -> dict[str, float]:
    """Wait for the process, and return the measurements that it prints."""
    output, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the process with 8 devices failed:\n{errors}")
    return json.loads(output.splitlines()[-1])
