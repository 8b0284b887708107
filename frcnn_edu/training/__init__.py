"""Training: the loop, its checkpoints, several processes, and how good the result is.

`loop` trains and detects, `batches` loads the images, `interrupts` defers signals to the end of a step, `checkpoints`
saves and loads runs, `model_options` checks what a model is built with, `distributed` shares a training among
processes, `metrics` measures average precision, and `mistakes` sorts what a detector got wrong.
"""
