"""The course as pages: `frcnn-edu site` writes a folder that any web server can show, and that asks no other one.

`exporter` writes it, out of the lessons as they are committed: `cells` makes HTML of their cells, `markdown` of their
text, `live` puts the explorers in, `menu` draws the way through the lessons, `playground` is the front page, on which
the detector itself runs, and `complete` looks for what is missing.
"""
