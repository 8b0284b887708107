"""What only the lessons need: convention card, glossary, trained detector, bug zoo, blood cells, a view of a single
pyramid level, and the upload page.
"""
