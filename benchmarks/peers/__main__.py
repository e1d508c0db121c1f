"""One framework in a process of its own: reads requests from stdin, answers on stdout.

`python -m benchmarks.peers layers_in_torch`, then lines such as {"case": TITLE, "steps": 5} or
{"drop": TITLE}; each is answered by a line with what it took or why it could not.
"""

import importlib
import json
import os
import sys
import time


def serve(module: str) -> None:
    """Answers until stdin ends."""
    # Whatever a library prints goes to stderr: stdout is for answers alone.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    cases, built = importlib.import_module(f"benchmarks.peers.{module}").CASES, {}
    print(json.dumps({"cases": list(cases)}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "drop" in request:
            built.pop(request["drop"], None)
            continue
        title, answer = request["case"], {}
        if title not in built:
            begin = time.perf_counter()
            run, answer["parameters"] = cases[title]()
            run(1)
            answer["first_seconds"] = time.perf_counter() - begin
            built[title] = run
        begin = time.perf_counter()
        built[title](request["steps"])
        answer["seconds"] = time.perf_counter() - begin
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
