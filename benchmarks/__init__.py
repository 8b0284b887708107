"""Operators and whole models against torchvision: ``python -m benchmarks`` prints one table.

A row is a function that returns two calls on the same inputs, ours and torchvision's. Both are timed in one process,
in turns and in random order, so that what else the machine does hits both alike; a figure is the ratio of the two
medians, below 1 where ours is faster. Peak memory is that of a fresh process which runs one of the two.
"""
