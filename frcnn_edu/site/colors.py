"""The palette as variables of a style sheet."""

from frcnn_edu.viz.palette import COLORS, TEXT_COLORS


def variables() -> str:
    """Every colour, and those of text for light and dark pages: `--blue`, `--blue-text`."""
    plain = [f"--{name}: {color};" for name, color in COLORS.items()]
    text = [f"--{name}-text: light-dark({light}, {dark});" for name, (light, dark) in TEXT_COLORS.items()]
    return f":root {{ {' '.join(plain + text)} }}"
