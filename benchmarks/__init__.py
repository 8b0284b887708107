"""Operators and whole models against torchvision: ``python -m benchmarks`` prints one table.

A row is a function that returns two calls on the same inputs, ours and torchvision's. Both are timed in one process,
alternately and in random order, so that other load affects both equally; the result is the ratio of their medians,
below 1 where ours is faster. Peak memory is measured in a new process for each of the two.
"""
