"""Freed memory stays in the process: no page faults when it is asked for again."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.once

PROGRAM = """
import resource
from zoo.training.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        a, b = b"a" * 2**24, b"b" * 2**24
        del a, b
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = faults()
keep_freed_memory()
faults()
print(first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_freed_memory_is_kept():
    answer = subprocess.check_output([sys.executable, "-c", PROGRAM], text=True)
    before, after = map(int, answer.split())
    assert before > 1000
    assert after < before / 20
