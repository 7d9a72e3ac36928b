"""What a long call returns is kept."""

import time

from reproduce.workspace.stopwatch import stopwatch


def test_the_stopwatch_keeps_the_result():
    result, spent = stopwatch(lambda: time.sleep(0.02) or "done", "cpu")
    assert result == "done"
    assert spent.seconds >= 0.02 and spent.seconds > spent.cpu_seconds
