"""The commands of the command line.

`detector` makes and uses a detector, `exporting` writes it as ONNX, `lab` opens the course in a browser.
"""
