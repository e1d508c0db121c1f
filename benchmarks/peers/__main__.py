"""Serve the cases of one framework from a process of its own: requests on stdin, answers on stdout.

`python -m benchmarks.peers torch.layers` reads lines such as {"case": TITLE, "steps": 5} and
answers each with one line of JSON that holds the seconds it took. {"drop": TITLE} frees a case and
has no answer.
"""

import importlib
import json
import os
import sys
import time


def serve(module: str) -> None:
    """Answer requests until stdin ends."""
    # Whatever a library prints goes to stderr, because stdout is for answers alone.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    cases, running = importlib.import_module(f"benchmarks.peers.{module}").CASES, {}
    print(json.dumps({"cases": list(cases)}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "drop" in request:
            running.pop(request["drop"], None)
            continue
        title, answer = request["case"], {}
        if title not in running:
            begin = time.perf_counter()
            run, answer["parameters"] = cases[title]()
            run(1)
            answer["first_seconds"] = time.perf_counter() - begin
            running[title] = run
        begin = time.perf_counter()
        running[title](request["steps"])
        answer["seconds"] = time.perf_counter() - begin
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
