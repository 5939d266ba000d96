"""A truncated file is an exception, where mmap.mmap is killed by SIGBUS."""

import errno
import os
import signal
import subprocess
import sys

import baremap
import pytest

# The parent truncates the file when the child has printed a line, and answers with another one.
CHILD = """
import mmap, os, sys
from baremap import BusError, GuardedMmap
path, kind, use = sys.argv[1:]
with open(path, "r+b") as file:
    if kind == "mmap":
        one = mmap.mmap(file.fileno(), 0)
    else:
        one = GuardedMmap(file.fileno(), access=mmap.ACCESS_WRITE)
    assert one[:10] == b"0123456789"
    print("mapped", flush=True)
    sys.stdin.readline()
    try:
        exec(use)
    except BusError as error:
        print("BusError", error.errno, error.offset, error)
        assert isinstance(error, OSError)
    assert one[:10] == b"0123456789"
    if kind != "mmap":
        assert one.refresh() == one.size() == len(one) == PAGE
        assert one.find(b"?", 0) == -1
    one.close()
    print("alive")
""".replace("PAGE", str(os.sysconf("SC_PAGE_SIZE")))

PAGE = os.sysconf("SC_PAGE_SIZE")

USES = {
    "index": f"one[{PAGE}]",
    "slice": f"one[{PAGE} - 5 : {PAGE} + 5]",
    "all": "one[:]",
    "step": "one[::-1000]",
    "find": "one.find(b'?', 0)",
    "rfind": "one.rfind(b'?', 0)",
    "read": "one.read()",
    "read_byte": f"one.seek({PAGE}); one.read_byte()",
    "readline": "one.readline()",
    "in": "b'?' in one",
    "iteration": "list(one)",
    "assignment": f"one[{PAGE}] = 7",
    "write": f"one.seek({PAGE} - 1); one.write(b'99')",
}


def run(tmp_path, kind, use, before=""):
    path = tmp_path / "data"
    path.write_bytes(b"0123456789" * PAGE)
    arguments = [sys.executable, "-c", before + CHILD, str(path), kind, use]
    child = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "mapped\n", child.communicate()
    os.truncate(path, PAGE)
    output, errors = child.communicate("\n")
    return child.returncode, output, errors


@pytest.mark.parametrize("use", USES)
def test_truncated(tmp_path, use):
    status, output, errors = run(tmp_path, "GuardedMmap", USES[use])
    assert status == 0, errors
    # A search from the end meets another missing page first.
    offset = 10 * PAGE - (1 << 14) if use == "rfind" else PAGE
    assert output == (
        f"BusError 14 {offset} [Errno 14] "
        f"The file was truncated while it was mapped (byte {offset})\nalive\n"
    )


def test_what_is_before_the_missing_page_is_found(tmp_path):
    use = "one.seek(9); assert (one.find(b'345'), one.find(b'12', 100), one[9]) == (13, 101, 57)"
    assert run(tmp_path, "GuardedMmap", use) == (0, "alive\n", "")


@pytest.mark.parametrize("use", ["index", "all", "find", "readline"])
def test_mmap_is_killed(tmp_path, use):
    status, output, _ = run(tmp_path, "mmap", USES[use])
    assert (status, output) == (-signal.SIGBUS, "")


@pytest.mark.parametrize("number", ["EFAULT", "EIO", "ENOSPC", "EDQUOT", "EPERM", "ENOSYS", "EINVAL"])
def test_errors_of_the_call_are_not_faults(tmp_path, monkeypatch, number):
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    with open(path, "r+b") as file:
        one = baremap.GuardedMmap(file.fileno(), access=baremap.ACCESS_WRITE)
    code = getattr(errno, number)
    for functions in "_READ", "_WRITE":
        monkeypatch.setattr(baremap, functions, (lambda *_: -code,) * 2)
    for use in [lambda: one[3], lambda: one.find(b"4"), lambda: one.write(b"0")]:
        with pytest.raises(OSError) as raised:
            use()
        fault = number in ("EFAULT", "EIO", "ENOSPC", "EDQUOT")
        assert (raised.value.errno, raised.type is baremap.BusError) == (code, fault)
        assert number != "EPERM" or raised.type is PermissionError
    one.close()


HANDLERS = {
    "faulthandler": "import faulthandler; faulthandler.enable()",
    "signal.signal": "import signal; signal.signal(signal.SIGBUS, lambda *_: print('handler'))",
}


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("use", ["all", "assignment", "write"])
def test_other_handlers(tmp_path, handler, moment, use):
    install = HANDLERS[handler] + "\n"
    use = USES[use]
    if moment == "before":
        status, output, errors = run(tmp_path, "GuardedMmap", use, install)
    else:
        status, output, errors = run(tmp_path, "GuardedMmap", install + use)
    assert (status, errors) == (0, "")
    assert output.startswith("BusError") and output.endswith("alive\n")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_faults_of_others_are_reported(tmp_path, moment):
    crash = "import ctypes; one[0]; ctypes.string_at(1)"
    install = HANDLERS["faulthandler"] + "\n"
    if moment == "before":
        status, _, errors = run(tmp_path, "GuardedMmap", crash, install)
    else:
        status, _, errors = run(tmp_path, "GuardedMmap", install + crash)
    assert status == -signal.SIGSEGV
    assert errors.startswith("Fatal Python error: Segmentation fault\n")
    assert errors.count("Fatal Python error") == 1
