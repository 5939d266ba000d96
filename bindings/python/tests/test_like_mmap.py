"""On an intact file, GuardedMmap answers as mmap.mmap does."""

import mmap
import os
import random

import pytest
from baremap import ACCESS_WRITE, GuardedMmap

PAGE = mmap.PAGESIZE
DATA = b"first line\nsecond\n\n" + bytes(range(256)) * 300 + b"needle\nthe last line"


@pytest.fixture(params=["mmap", "GuardedMmap"])
def make(request, tmp_path):
    """A function that makes a map of DATA, of either kind."""
    path = tmp_path / "data"
    path.write_bytes(DATA)
    maps = []

    def make(length=0, **options):
        with open(path, "r+b") as file:
            options.setdefault("access", mmap.ACCESS_READ)
            kind = mmap.mmap if request.param == "mmap" else GuardedMmap
            maps.append(kind(file.fileno(), length, **options))
        return maps[-1]

    make.path = path
    yield make
    for one in maps:
        one.close()


def test_index_slice_and_length(make):
    one = make()
    assert len(one) == len(DATA)
    assert (one[0], one[-1], one[11]) == (DATA[0], DATA[-1], DATA[11])
    for key in [slice(None), slice(3, 9), slice(9, 3), slice(-5, None), slice(None, None, -1),
                slice(10, 3, -2), slice(5, 10**9, 7), slice(-10**9, 8), slice(len(DATA), None)]:
        assert one[key] == DATA[key]
    for wrong in [len(DATA), -len(DATA) - 1, 1 << 70]:
        with pytest.raises(IndexError):
            one[wrong]
    with pytest.raises(TypeError):
        one["0"]


def test_random_slices(make):
    one, random_ = make(), random.Random(1)
    for _ in range(500):
        pick = lambda: random_.choice([None, random_.randrange(-99999, 99999)])
        step = random_.choice([None, 1, 2, 7, -1, -3, 5000, -70000])
        key = slice(pick(), pick(), step)
        assert one[key] == DATA[key], key


def test_iteration_and_membership(make):
    one = make(30)
    assert list(one) == [DATA[at : at + 1] for at in range(30)]
    assert b"f" in one and b"#" not in one


def test_find(make):
    one = make()
    for sub in [b"needle", b"first", b"line", b"absent", b"", b"\xff\x00\x01", DATA]:
        for places in [(0,), (5,), (-30,), (0, 20), (0, -1), (0, -30), (76800,), (0, 10**9), (9, 3)]:
            assert one.find(sub, *places) == DATA.find(sub, *places), (sub, places)
            assert one.rfind(sub, *places) == DATA.rfind(sub, *places), (sub, places)
    one.seek(1)
    assert one.find(b"f") == DATA.find(b"f", 1)


def test_find_across_chunks(make):
    with open(make.path, "wb") as file:
        file.write(b"x" * ((1 << 14) - 3) + b"needle" + b"x" * (1 << 17) + b"needle" + b"x" * 9)
    one, data = make(), make.path.read_bytes()
    assert one.find(b"needle", 0) == data.find(b"needle")
    assert one.rfind(b"needle", 0) == data.rfind(b"needle")
    long = data[5:-5]
    assert one.find(long, 0) == one.rfind(long, 0) == 5


def test_positions(make):
    one = make()
    assert one.tell() == 0
    assert one.readline() == b"first line\n"
    assert one.readline() == b"second\n"
    assert one.readline() == b"\n"
    assert one.tell() == 19
    assert one.read(3) == DATA[19:22]
    assert one.read_byte() == DATA[22]
    one.seek(-13, os.SEEK_END)
    assert one.read(5) == b"the l"
    one.seek(-1, os.SEEK_CUR)
    assert one.readline() == b"last line"
    assert one.readline() == b"" == one.read() == one.read(5)
    with pytest.raises(ValueError):
        one.read_byte()
    with pytest.raises(ValueError):
        one.seek(1, os.SEEK_END)
    with pytest.raises(ValueError):
        one.seek(-1)
    with pytest.raises(ValueError):
        one.seek(0, 9)
    one.seek(0)
    assert one.read() == DATA
    one.seek(0)
    assert one.read(-1) == DATA
    one.seek(0)
    assert one.read(None) == DATA


def test_writing(make):
    one = make(access=ACCESS_WRITE)
    one[0] = ord("F")
    one[6:10] = b"LINE"
    one[0:4:2] = b"XY"
    one.seek(11)
    assert one.write(b"SECOND") == 6
    one.write_byte(ord("!"))
    assert one.tell() == 18
    one.flush()
    assert make.path.read_bytes()[:18] == b"XiYst LINE\nSECOND!"
    with pytest.raises(IndexError):
        one[0:2] = b"abc"
    one.seek(-1, os.SEEK_END)
    with pytest.raises(ValueError):
        one.write(b"ab")


def test_read_only(make):
    one = make()
    for write in [lambda: one.write(b"x"), lambda: one.__setitem__(0, 1),
                  lambda: one.__setitem__(slice(0, 1), b"x"), lambda: one.write_byte(1)]:
        with pytest.raises(TypeError):
            write()


@pytest.mark.parametrize("kind", [mmap.mmap, GuardedMmap])
def test_write_access_needs_a_writable_file(tmp_path, kind):
    path = tmp_path / "data"
    path.write_bytes(DATA)
    with open(path, "rb") as file, pytest.raises(PermissionError):
        kind(file.fileno(), 0, access=ACCESS_WRITE)


def test_part_of_a_file(make):
    one = make(100, offset=PAGE)
    assert len(one) == 100 and one[:] == DATA[PAGE : PAGE + 100]
    assert one.size() == len(DATA)
    for arguments in [{"length": len(DATA) + 1}, {"offset": 100 * PAGE}]:
        with pytest.raises(ValueError):
            make(**arguments)
    with pytest.raises(OverflowError):
        make(-1)


def test_closing(make):
    one = make()
    assert not one.closed
    with one as same:
        assert same is one
    assert one.closed
    one.close()
    for use in [len, lambda m: m[0], lambda m: m.read(), lambda m: m.tell(), lambda m: m.size(),
                lambda m: m.find(b"a"), lambda m: m.readline(), lambda m: m.seek(0)]:
        with pytest.raises(ValueError):
            use(one)


def test_wrong_files(make):
    with pytest.raises(OSError):
        GuardedMmap(-1)
    open(make.path, "wb").close()
    with pytest.raises(ValueError):
        make()
    read, write = os.pipe()
    with pytest.raises((OSError, ValueError)):
        GuardedMmap(read)
    os.close(read)
    os.close(write)
    with open(make.path, "rb") as file, pytest.raises(ValueError):
        GuardedMmap(file.fileno(), access=77)
