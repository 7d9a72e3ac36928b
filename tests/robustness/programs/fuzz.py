"""Call one function with whatever shapes, strides, dtypes and values there are: python fuzz.py NAME EXAMPLES.

Each example must equal the reference or raise a documented error. It is a process of its own, so that a crash is seen
as its exit status. Prints how the examples ended.
"""

from __future__ import annotations

import sys
from collections import Counter

from fuzz_cases import CASES
from hypothesis import HealthCheck, given, settings


def main(name: str, examples: int) -> None:
    """Run so many examples of a case; raises at the first that is neither right nor refused."""
    draw_and_check = CASES[name]
    outcomes: Counter[str] = Counter()

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(draw_and_check())
    def run(outcome: str) -> None:
        outcomes[outcome] += 1

    run()
    print(", ".join(f"{count:,} {outcome}" for outcome, count in sorted(outcomes.items())))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
