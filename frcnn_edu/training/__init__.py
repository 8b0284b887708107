"""Training: the loop, its checkpoints, several processes, and how good the result is.

`checkpoints` keeps runs, `loop` trains and detects, `distributed` shares a training between processes, `metrics`
measures average precision, and `mistakes` sorts what a detector got wrong.
"""
