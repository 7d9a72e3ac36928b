"""A signal ends a command at once while libraries load, whatever they do with exceptions."""

import signal
import subprocess
import sys
import threading

import pytest

from opticam.cli.ending import interrupted, while_loading

SWALLOWED = """
import signal, sys
from opticam.cli.ending import interrupted, while_loading
signal.signal(signal.SIGINT, signal.{handler})
with while_loading(interrupted("a command")):
    try:
        signal.raise_signal(signal.{name})
    except BaseException:
        pass
print("survived")
"""


def ended(name, handler="default_int_handler"):
    program = SWALLOWED.format(name=name, handler=handler)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_exception_that_a_library_swallows_ends_the_process_nevertheless(name, status):
    done = ended(name)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.split("\n") == ["", "a command: interrupted; what was written before is kept", ""]


def test_a_signal_that_is_ignored_stays_ignored():
    done = ended("SIGINT", "SIG_IGN")
    assert (done.returncode, done.stdout, done.stderr) == (0, "survived\n", "")


def test_the_handlers_are_as_before():
    signals = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(number) for number in signals]
    with pytest.raises(ImportError), while_loading(interrupted("")):
        raise ImportError
    assert [signal.getsignal(number) for number in signals] == before


def test_a_thread_may_load_as_well():
    seen = []

    def load():
        with while_loading(interrupted("")):
            seen.append(True)

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    assert seen == [True]
