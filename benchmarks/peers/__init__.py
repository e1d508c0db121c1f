"""The networks of the benchmarks, written as users of each framework write them.

A folder holds one framework, and only that framework is imported there. Its file
`BENCHMARK.py`, or `BENCHMARK_VARIANT.py`, holds CASES: for each title a function that builds the
network and its data and returns (run, parameters). `run(steps)` takes that number of training
steps and returns when the last one has finished; `parameters` is the number of trained values.
Titles and sizes are in `cases.py`, the data in `data.py`.
"""
