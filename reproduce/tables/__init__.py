"""A table of cells: published beside measured, with intervals and verdicts, and how it is printed."""
