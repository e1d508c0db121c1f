"""The networks of the benchmarks, written as users of each framework write them.

A file `BENCHMARK_in_FRAMEWORK.py` holds CASES: for each title a function that builds the network
and its data and returns (run, parameters), where run(steps) takes so many training steps and
returns when the last is done. Only that framework is imported there.
"""
