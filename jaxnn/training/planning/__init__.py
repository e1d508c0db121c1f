"""Plans of train steps for accelerators that are not there.

chips.py has published numbers, compilers.py finds compilers and devices, compiled.py asks them,
traffic.py reads what they wrote. programs.py, work.py and liveness.py read the jaxpr, estimate.py
and roofline.py make figures of it, plans.py, report.py and search.py put them together.
"""
