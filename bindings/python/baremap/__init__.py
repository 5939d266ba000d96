"""Mapped files that raise OSError where mmap is killed by SIGBUS."""

import ctypes
import errno
import fcntl
import mmap
import operator
import os
import stat
import threading

__all__ = ["BusError", "GuardedMmap"]

ACCESS_READ = mmap.ACCESS_READ
ACCESS_WRITE = mmap.ACCESS_WRITE


def _load():
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libbaremap.so")
    path = os.environ.get("BAREMAP_LIBRARY")
    if path is None:
        path = beside if os.path.exists(beside) else "libbaremap.so.0"
    library = ctypes.CDLL(path)
    size, handle = ctypes.c_size_t, ctypes.c_void_p
    access = [handle, ctypes.c_void_p, size, ctypes.c_uint64]
    for name, result, arguments in [
        ("install", ctypes.c_int, []),
        ("map_range", ctypes.c_int, [ctypes.c_int, ctypes.c_uint64, size, ctypes.c_void_p]),
        ("map_len", size, [handle]),
        ("map_read_at", ctypes.c_ssize_t, access),
        ("map_read_at_blocked", ctypes.c_ssize_t, access),
        ("map_write_at", ctypes.c_ssize_t, access),
        ("map_write_at_blocked", ctypes.c_ssize_t, access),
        ("map_refresh", ctypes.c_ssize_t, [handle]),
        ("map_flush", ctypes.c_int, [handle]),
        ("map_close", None, [handle]),
    ]:
        function = getattr(library, "baremap_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _load()
_READ = _library.baremap_map_read_at, _library.baremap_map_read_at_blocked
_WRITE = _library.baremap_map_write_at, _library.baremap_map_write_at_blocked

# The bits of a descriptor's flags that say whether it is open for reading and writing (O_ACCMODE).
_MODE = os.O_RDONLY | os.O_WRONLY | os.O_RDWR

# The number of bytes that a search copies out of a map at a time.
_CHUNK = 1 << 14


# The errors of a byte that cannot be accessed. Others are those of a call, such as EPERM.
_FAULTS = errno.EFAULT, errno.EIO, errno.ENOSPC, errno.EDQUOT


class BusError(OSError):
    """A byte of a mapped file that cannot be accessed.

    The file was truncated (errno.EFAULT), its disk failed (errno.EIO), or the disk has no room for
    what is written (errno.ENOSPC, errno.EDQUOT). mmap.mmap is killed by SIGBUS in these cases.
    `offset` is the offset in the map of the missing byte.
    """

    offset = None


def _check(result, offset=None):
    """Returns a result of the library, or raises the exception for a negative error number."""
    if result >= 0:
        return result
    text = os.strerror(-result)
    if offset is None or -result not in _FAULTS:
        raise OSError(-result, text)
    if -result == errno.EFAULT:
        text = "The file was truncated while it was mapped"
    error = BusError(-result, f"{text} (byte {offset})")
    error.offset = offset
    raise error


def _bytes(data):
    """Copies an object that has a buffer. An integer has none: bytes(3) would be three zeros."""
    return bytes(memoryview(data))


class _Handle:
    """A map of the library, and a duplicate of the file's descriptor.

    Both are closed with the last reference. Each call holds a reference, so that close() in another
    thread, a signal handler or a finalizer frees nothing that the call uses.
    """

    file = -1

    def __init__(self, fileno, offset, length):
        self.map = ctypes.c_void_p()
        self.file = os.dup(fileno)
        to = ctypes.byref(self.map)
        _check(_library.baremap_map_range(self.file, offset, length, to))

    def __del__(self):
        if self.map:
            _library.baremap_map_close(self.map)
        if self.file >= 0:
            os.close(self.file)


class GuardedMmap:
    """A mapped file that raises BusError where mmap.mmap is killed by SIGBUS.

    Maps `length` bytes of the file `fileno` from `offset` on. A length of zero maps the file up to
    its end. `access` is ACCESS_READ (the default) or ACCESS_WRITE, of which the latter needs a file
    that is open for reading and writing. The map uses a duplicate of the descriptor, so that the
    file may be closed.

    The methods are those of mmap.mmap. Bytes are copied out of the map, and there is no buffer
    interface, because an access to a buffer cannot raise an exception.

    Any number of threads may use one map.
    """

    _handle = None

    def __init__(self, fileno, length=0, *, access=ACCESS_READ, offset=0):
        fileno, length, offset = map(operator.index, (fileno, length, offset))
        if access not in (ACCESS_READ, ACCESS_WRITE):
            raise ValueError("access is neither ACCESS_READ nor ACCESS_WRITE")
        if length < 0 or offset < 0:
            raise OverflowError("length and offset must not be negative")
        status = os.fstat(fileno)
        if stat.S_ISREG(status.st_mode):
            if length == 0 and status.st_size == 0:
                raise ValueError("cannot mmap an empty file")
            if length == 0 and offset >= status.st_size:
                raise ValueError("mmap offset is greater than file size")
            if offset + length > status.st_size:
                raise ValueError("mmap length is greater than file size")
        if access == ACCESS_WRITE and fcntl.fcntl(fileno, fcntl.F_GETFL) & _MODE != os.O_RDWR:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        # It is held during every call, because no call may use a map that another thread
        # refreshes. A signal handler may interrupt the thread that holds it.
        self._lock = threading.RLock()
        self._mode = access
        self._position = 0
        handle = _Handle(fileno, offset, length or ctypes.c_size_t(-1).value)
        self._length = _library.baremap_map_len(handle.map)
        self._handle = handle

    def _open_handle(self):
        """Returns the handle, or raises the exception of a closed map."""
        handle = self._handle
        if handle is None:
            raise ValueError("mmap closed or invalid")
        return handle

    def _call(self, function, *arguments, offset=None):
        with self._lock:
            handle = self._open_handle()
            try:
                result = function(handle.map, *arguments)
            finally:
                # The traceback of an exception refers to this frame.
                del handle
        return _check(result, offset)

    def _access(self, functions, address, count, offset):
        """Calls the first of two functions, or the second one if a fault would not be an error.

        That is so if another signal handler was installed since, such as that of faulthandler,
        which would take the fault for a crash. The second function works by a system call.
        """
        function = functions[_check(_library.baremap_install())]
        return self._call(function, address, count, offset, offset=offset)

    def _read_some(self, offset, count):
        """Returns up to `count` bytes: those before the first missing one, or before the end of the
        map, which another thread may have refreshed. Raises the exception if the first byte is
        missing.
        """
        if count == 0:
            self._open_handle()
            return b""
        buffer = bytearray(count)
        to = ctypes.byref(ctypes.c_char.from_buffer(buffer))
        done = self._access(_READ, to, count, offset)
        return bytes(buffer) if done == count else bytes(memoryview(buffer)[:done])

    def _read_at(self, offset, count):
        """Returns `count` bytes, or fewer if the map ends before."""
        data = self._read_some(offset, count)
        while len(data) < count:
            rest = self._read_some(offset + len(data), count - len(data))
            if not rest:
                break
            data += rest
        return data

    def _write_at(self, offset, data):
        """Writes bytes, and returns whether the map did not end before."""
        done = 0
        while done < len(data):
            rest = data[done:] if done else data
            wrote = self._access(_WRITE, rest, len(rest), offset + done)
            if wrote == 0:
                return False
            done += wrote
        return True

    def _check_writable(self):
        self._open_handle()
        if self._mode != ACCESS_WRITE:
            raise TypeError("mmap can't modify a readonly memory map.")

    def __len__(self):
        self._open_handle()
        return self._length

    def __getitem__(self, key):
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self._read_at(start, max(stop - start, 0))
            places = range(start, stop, step)
            if not places:
                return b""
            first, last = min(places[0], places[-1]), max(places[0], places[-1])
            some = self._read_at(first, last - first + 1)[:: abs(step)]
            return some if step > 0 else some[::-1]
        byte = self._read_at(self._index(key), 1)
        if not byte:
            raise IndexError("mmap index out of range")
        return byte[0]

    def __setitem__(self, key, value):
        self._check_writable()
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            places = range(start, stop, step)
            value = _bytes(value)
            if len(value) != len(places):
                raise IndexError("mmap slice assignment is wrong size")
            if step == 1:
                parts = [(start, value)]
            else:
                parts = [(place, bytes((byte,))) for place, byte in zip(places, value)]
        else:
            parts = [(self._index(key), bytes((value,)))]
        for offset, data in parts:
            if not self._write_at(offset, data):
                raise IndexError("mmap index out of range")

    def _index(self, key):
        try:
            index = operator.index(key)
        except TypeError:
            raise TypeError("mmap indices must be integers") from None
        size = len(self)
        if index < 0:
            index += size
        if not 0 <= index < size:
            raise IndexError("mmap index out of range")
        return index

    def __iter__(self):
        offset = 0
        while chunk := self._read_at(offset, min(_CHUNK, max(len(self) - offset, 0))):
            for index in range(len(chunk)):
                yield chunk[index : index + 1]
            offset += len(chunk)

    def __contains__(self, byte):
        try:
            byte = _bytes(byte)
        except TypeError:
            return False
        return len(byte) == 1 and self.find(byte, 0) >= 0

    def find(self, sub, start=None, end=None):
        """Returns the lowest offset of `sub` in the map, from `start` (the position if it is
        omitted) to `end`, or -1.
        """
        sub = _bytes(sub)
        start, end = self._range(start, end)
        while end - start >= len(sub):
            chunk = self._read_some(start, min(end - start, max(_CHUNK, 2 * len(sub))))
            if len(chunk) < len(sub):
                chunk = self._read_at(start, len(sub))
                if len(chunk) < len(sub):
                    break
            index = chunk.find(sub)
            if index >= 0:
                return start + index
            start += len(chunk) - len(sub) + 1
        return -1

    def rfind(self, sub, start=None, end=None):
        """Returns the highest offset of `sub` in the map, from `start` (the position if it is
        omitted) to `end`, or -1.
        """
        sub = _bytes(sub)
        start, end = self._range(start, end)
        while end - start >= len(sub):
            first = max(start, end - max(_CHUNK, 2 * len(sub)))
            index = self._read_at(first, end - first).rfind(sub)
            if index >= 0:
                return first + index
            if first == start:
                break
            end = first + len(sub) - 1
        return -1

    def _range(self, start, end):
        """Returns two offsets as mmap.mmap's find() counts them."""
        size = len(self)
        start = self._position if start is None else operator.index(start)
        end = size if end is None else operator.index(end)
        places = [place + size if place < 0 else place for place in (start, end)]
        return [min(max(place, 0), size) for place in places]

    def read(self, n=None):
        """Reads `n` bytes from the position on, or all bytes if it is None or negative."""
        left = max(len(self) - self._position, 0)
        n = -1 if n is None else operator.index(n)
        count = left if n < 0 else min(n, left)
        data = self._read_at(self._position, count)
        self._position += len(data)
        return data

    def read_byte(self):
        """Reads the byte at the position."""
        if self._position >= len(self):
            raise ValueError("read byte out of range")
        byte = self._read_at(self._position, 1)
        if not byte:
            raise ValueError("read byte out of range")
        self._position += 1
        return byte[0]

    def readline(self):
        """Reads a line from the position on, with its newline."""
        end, size = self._position, len(self)
        while end < size:
            chunk = self._read_some(end, min(_CHUNK, size - end))
            if not chunk:
                break
            newline = chunk.find(b"\n")
            end += len(chunk) if newline < 0 else newline + 1
            if newline >= 0:
                break
        return self.read(max(end - self._position, 0))

    def write(self, data):
        """Writes bytes at the position, and returns their number."""
        self._check_writable()
        data = _bytes(data)
        if self._position + len(data) > len(self) or not self._write_at(self._position, data):
            raise ValueError("data out of range")
        self._position += len(data)
        return len(data)

    def write_byte(self, byte):
        """Writes one byte at the position."""
        self._check_writable()
        byte = operator.index(byte)
        if not 0 <= byte <= 255:
            raise OverflowError("byte must be in range(0, 256)")
        byte = bytes((byte,))
        if self._position >= len(self) or not self._write_at(self._position, byte):
            raise ValueError("write byte out of range")
        self._position += 1

    def seek(self, pos, whence=os.SEEK_SET):
        """Sets the position."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self)}
        whence, pos = operator.index(whence), operator.index(pos)
        if whence not in bases:
            raise ValueError("unknown seek type")
        position = bases[whence] + pos
        if not 0 <= position <= bases[os.SEEK_END]:
            raise ValueError("seek out of range")
        self._position = position

    def tell(self):
        """Returns the position."""
        self._open_handle()
        return self._position

    def size(self):
        """Returns the present length of the file, which differs from len() after a change."""
        handle = self._open_handle()
        try:
            return os.fstat(handle.file).st_size
        finally:
            del handle

    def flush(self, offset=0, size=None, /):
        """Writes changes back to the disk, and waits for it.

        Writes at least the `size` bytes from `offset` on, which default to the whole map.
        """
        offset, length = operator.index(offset), len(self)
        size = length - offset if size is None else operator.index(size)
        if offset < 0 or not 0 <= size <= length - offset:
            raise ValueError("flush values out of range")
        self._call(_library.baremap_map_flush)

    def refresh(self):
        """Maps the file with its present length, and returns it. Missing pages are back then."""
        with self._lock:
            self._length = self._call(_library.baremap_map_refresh)
            return self._length

    def close(self):
        """Unmaps the file, after the calls of other threads. Closing a closed map has no effect."""
        self._handle = None

    @property
    def closed(self):
        """Whether the map is closed."""
        return self._handle is None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        if self.closed:
            return f"<{type(self).__name__} closed=True>"
        access = "ACCESS_WRITE" if self._mode == ACCESS_WRITE else "ACCESS_READ"
        return f"<{type(self).__name__} access={access}, length={self._length}, pos={self._position}>"
