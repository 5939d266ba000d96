"""A signal handler, a finalizer or another thread closes or refreshes a map during a call.

A trace function does it before one instruction of the module, and the test repeats the call for each
instruction.
"""

import itertools
import os
import sys

import baremap
import pytest
from baremap import ACCESS_WRITE, GuardedMmap

DATA = b"".join(b"line %03d\n" % number for number in range(12))
SHORT = 20

# A call that has not ended after this number of instructions does not end.
ENDLESS = 20_000

USES = {
    "length": len,
    "index": lambda m: m[-30],
    "slice": lambda m: m[5:60],
    "step": lambda m: m[5:60:7],
    "backwards": lambda m: m[60:5:-7],
    "iteration": lambda m: b"".join(m),
    "in": lambda m: b"#" in m,
    "find": lambda m: m.find(b"011", 0),
    "find, absent": lambda m: m.find(b"absent", 0),
    "find, long": lambda m: m.find(DATA[2:80], 0),
    "rfind": lambda m: m.rfind(b"001", 0),
    "read": lambda m: m.read(),
    "read_byte": lambda m: (m.seek(60), m.read_byte())[1],
    "readline": lambda m: (m.seek(45), m.readline())[1],
    "assignment": lambda m: m.__setitem__(60, 7),
    "slice assignment": lambda m: m.__setitem__(slice(40, 60), b"-" * 20),
    "step assignment": lambda m: m.__setitem__(slice(10, 60, 10), b"-" * 5),
    "write": lambda m: (m.seek(60), m.write(b"-" * 10))[1],
    "write_byte": lambda m: (m.seek(60), m.write_byte(7))[1],
    "size": lambda m: m.size(),
    "flush": lambda m: m.flush(),
    "repr": repr,
}


class Library:
    """The C library, which checks that no map is used or closed after it was closed."""

    def __init__(self, library):
        self._library = library
        self.open = set()

    def __getattr__(self, name):
        function = getattr(self._library, name)

        def call(*arguments):
            result = function(*arguments)
            if name == "baremap_map_range" and result == 0:
                self.open.add(arguments[3]._obj.value)
            return result

        def checked(handle, *arguments):
            value = handle and handle.value
            assert value in self.open, f"{name} of a map that is closed"
            if name == "baremap_map_close":
                self.open.remove(value)
            return function(handle, *arguments)

        handles = name.startswith("baremap_map_") and name != "baremap_map_range"
        return checked if handles else call


@pytest.fixture
def library(monkeypatch):
    library = Library(baremap._library)
    monkeypatch.setattr(baremap, "_library", library)
    for name, function in [("_READ", "baremap_map_read_at"), ("_WRITE", "baremap_map_write_at")]:
        both = getattr(library, function), getattr(library, function + "_blocked")
        monkeypatch.setattr(baremap, name, both)
    # A few bytes are several chunks.
    monkeypatch.setattr(baremap, "_CHUNK", 16)
    return library


def interrupted(function, place, action):
    """Calls a function, and an action before the instruction of the module with the number `place`.

    Returns the result, and whether there is such an instruction.
    """
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if frame.f_code.co_filename != baremap.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if count == place:
                action()
            count += 1
            assert count < ENDLESS, "the call does not end"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        result = function()
    except (ValueError, IndexError) as error:
        result = type(error), str(error)
    finally:
        sys.settrace(before)
    return result, count > place


def outcomes(use, act):
    """Returns the result without an interruption, and the results with one at each instruction."""
    results = []
    for place in itertools.chain([-1], itertools.count()):
        file = os.memfd_create("data")
        os.write(file, DATA)
        one = GuardedMmap(file, access=ACCESS_WRITE)
        result, was = interrupted(lambda: use(one), place, lambda: act(one, file))
        one.close()
        os.close(file)
        if place >= 0 and not was:
            return results[0], results[1:]
        results.append(result)


@pytest.mark.parametrize("use", USES)
def test_closed(library, use):
    descriptors = os.listdir("/proc/self/fd")
    intact, results = outcomes(USES[use], lambda one, _: one.close())
    closed = ValueError, "mmap closed or invalid"
    allowed = [intact, closed]
    if use == "repr":
        allowed.append("<GuardedMmap closed=True>")
    for place, result in enumerate(results):
        assert result in allowed, f"instruction {place}"
    assert len(results) > 5 and results[0] != intact
    assert not library.open
    assert os.listdir("/proc/self/fd") == descriptors


def prefix(intact):
    return lambda result: isinstance(result, bytes) and intact.startswith(result)


def error(kind, text):
    return lambda result: result == (kind, text)


OUT_OF_RANGE = error(IndexError, "mmap index out of range")
SHRUNK = {
    "length": lambda result: result == SHORT,
    "index": OUT_OF_RANGE,
    "slice": prefix(DATA[5:60]),
    "step": prefix(DATA[5:60:7]),
    "backwards": lambda result: result in (DATA[18:5:-7], DATA[19:5:-7]),
    "iteration": prefix(DATA),
    "in": lambda result: result is False,
    "find": lambda result: result == -1,
    "find, absent": lambda result: result == -1,
    "find, long": lambda result: result == -1,
    "rfind": lambda result: result == -1,
    "read": prefix(DATA),
    "read_byte": lambda result: result[1] in ("read byte out of range", "seek out of range"),
    "readline": lambda result: result == b"" or result[1] == "seek out of range",
    "assignment": OUT_OF_RANGE,
    "slice assignment": lambda result: result[0] == IndexError,
    "step assignment": lambda result: result[0] == IndexError,
    "write": lambda result: result[1] in ("data out of range", "seek out of range"),
    "write_byte": lambda result: result[1] in ("write byte out of range", "seek out of range"),
    "size": lambda result: result == SHORT,
    "flush": lambda result: result is None,
    "repr": lambda result: f"length={SHORT}," in result,
}


def shrink(one, file):
    os.ftruncate(file, SHORT)
    one.refresh()


@pytest.mark.parametrize("use", USES)
def test_shrunk(library, use):
    intact, results = outcomes(USES[use], shrink)
    for place, result in enumerate(results):
        assert result == intact or SHRUNK[use](result), f"instruction {place}: {result}"
    assert len(results) > 5
