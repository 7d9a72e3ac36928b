"""Part-region similarity: the best score and region of every part, and how decisively regions choose parts.

One step in several implementations: ``eager`` is the definition, the others are tested against it.
"""

from dpnet.similarity.api import part_similarity
from dpnet.similarity.backends import BACKENDS, backend_report, select_backend

__all__ = ["BACKENDS", "backend_report", "part_similarity", "select_backend"]
