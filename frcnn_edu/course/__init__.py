"""The course: what only the lessons need.

The convention card, the glossary, the detector that ships with the lessons, the bug zoo, the blood cells, one level of
a pyramid seen alone, and the page for photographs.
"""
