"""Mapped files that raise OSError where mmap is killed by SIGBUS."""

import ctypes
import errno
import fcntl
import mmap
import os
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


class BusError(OSError):
    """A byte of a mapped file that cannot be accessed.

    The file was truncated (errno.EFAULT), its disk failed (errno.EIO), or the disk has no room for
    what is written (errno.ENOSPC). mmap.mmap is killed by SIGBUS in these cases. `offset` is the
    offset in the map of the missing byte, or None if it is not known.
    """

    offset = None


def _check(result, offset=None):
    """Returns a result of the library, or raises the exception for a negative error number."""
    if result >= 0:
        return result
    if offset is None:
        raise OSError(-result, os.strerror(-result))
    text = os.strerror(-result)
    if -result == errno.EFAULT:
        text = "The file was truncated while it was mapped"
    error = BusError(-result, f"{text} (byte {offset})")
    error.offset = offset
    raise error


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

    def __init__(self, fileno, length=0, *, access=ACCESS_READ, offset=0):
        self._handle = None
        if access not in (ACCESS_READ, ACCESS_WRITE):
            raise ValueError("access is neither ACCESS_READ nor ACCESS_WRITE")
        if length < 0 or offset < 0:
            raise OverflowError("length and offset must not be negative")
        size = os.fstat(fileno).st_size
        if length == 0:
            if size == 0:
                raise ValueError("cannot mmap an empty file")
            if offset >= size:
                raise ValueError("mmap offset is greater than file size")
        elif offset + length > size:
            raise ValueError("mmap length is greater than file size")
        # It is held during every call, so that no thread closes a map that another one uses. A
        # signal handler may interrupt the thread that holds it.
        self._lock = threading.RLock()
        self._mode = access
        self._position = 0
        if access == ACCESS_WRITE and fcntl.fcntl(fileno, fcntl.F_GETFL) & _MODE != os.O_RDWR:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        handle = ctypes.c_void_p()
        length = length or ctypes.c_size_t(-1).value
        self._file = os.dup(fileno)
        try:
            _check(_library.baremap_map_range(fileno, offset, length, ctypes.byref(handle)))
        except OSError:
            os.close(self._file)
            raise
        self._length = _library.baremap_map_len(handle)
        self._handle = handle

    def _call(self, function, *arguments, offset=None):
        with self._lock:
            if self._handle is None:
                raise ValueError("mmap closed or invalid")
            return _check(function(self._handle, *arguments), offset)

    def _access(self, functions, address, count, offset):
        """Calls the first of two functions, or the second one if a fault would not be an error.

        That is so if another signal handler was installed since, such as that of faulthandler,
        which would take the fault for a crash. The second function works by a system call.
        """
        function = functions[_check(_library.baremap_install())]
        return self._call(function, address, count, offset, offset=offset)

    def _read_some(self, offset, count):
        """Returns up to `count` bytes, all of which are inside the map: those before the first
        missing one. Raises the exception if that is the first byte.
        """
        if count == 0:
            len(self)  # Raises the exception of a closed map.
            return b""
        buffer = bytearray(count)
        to = ctypes.byref(ctypes.c_char.from_buffer(buffer))
        done = self._access(_READ, to, count, offset)
        return bytes(buffer) if done == count else bytes(memoryview(buffer)[:done])

    def _read_at(self, offset, count):
        """Returns `count` bytes, all of which are inside the map."""
        data = self._read_some(offset, count)
        while len(data) < count:
            rest = self._read_some(offset + len(data), count - len(data))
            if not rest:
                break
            data += rest
        return data

    def _write_at(self, offset, data):
        """Writes bytes to a range that is inside the map."""
        if self._mode != ACCESS_WRITE:
            raise TypeError("mmap can't modify a readonly memory map.")
        data = bytes(data)
        done = 0
        while done < len(data):
            rest = data[done:] if done else data
            wrote = self._access(_WRITE, rest, len(rest), offset + done)
            if wrote == 0:
                break
            done += wrote

    def __len__(self):
        if self._handle is None:
            raise ValueError("mmap closed or invalid")
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
            some = self._read_at(first, last - first + 1)
            return some[::step] if step > 0 else some[len(some) - 1 :: step]
        return self._read_at(self._index(key), 1)[0]

    def __setitem__(self, key, value):
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            places = range(start, stop, step)
            value = bytes(value)
            if len(value) != len(places):
                raise IndexError("mmap slice assignment is wrong size")
            if step == 1:
                return self._write_at(start, value)
            for place, byte in zip(places, value):
                self._write_at(place, bytes((byte,)))
            return None
        return self._write_at(self._index(key), bytes((value,)))

    def _index(self, key):
        if not hasattr(key, "__index__"):
            raise TypeError("mmap indices must be integers")
        index, size = key.__index__(), len(self)
        if index < 0:
            index += size
        if not 0 <= index < size:
            raise IndexError("mmap index out of range")
        return index

    def __iter__(self):
        offset = 0
        while offset < len(self):
            chunk = self._read_at(offset, min(_CHUNK, len(self) - offset))
            for index in range(len(chunk)):
                yield chunk[index : index + 1]
            offset += len(chunk)

    def __contains__(self, byte):
        return len(byte) == 1 and self.find(byte, 0) >= 0

    def find(self, sub, start=None, end=None):
        """Returns the lowest offset of `sub` in the map, from `start` (the position if it is
        omitted) to `end`, or -1.
        """
        sub = bytes(sub)
        start, end = self._range(start, end)
        while end - start >= len(sub):
            chunk = self._read_some(start, min(end - start, max(_CHUNK, 2 * len(sub))))
            if len(chunk) < len(sub):
                chunk = self._read_at(start, len(sub))
            index = chunk.find(sub)
            if index >= 0:
                return start + index
            start += len(chunk) - len(sub) + 1
        return -1

    def rfind(self, sub, start=None, end=None):
        """Returns the highest offset of `sub` in the map, from `start` (the position if it is
        omitted) to `end`, or -1.
        """
        sub = bytes(sub)
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
        start = self._position if start is None else start
        end = size if end is None else end
        places = [place + size if place < 0 else place for place in (start, end)]
        return [min(max(place, 0), size) for place in places]

    def read(self, n=None):
        """Reads `n` bytes from the position on, or all bytes if it is None or negative."""
        left = max(len(self) - self._position, 0)
        count = left if n is None or n < 0 else min(n, left)
        data = self._read_at(self._position, count)
        self._position += len(data)
        return data

    def read_byte(self):
        """Reads the byte at the position."""
        if self._position >= len(self):
            raise ValueError("read byte out of range")
        byte = self._read_at(self._position, 1)[0]
        self._position += 1
        return byte

    def readline(self):
        """Reads a line from the position on, with its newline."""
        end, size = self._position, len(self)
        while end < size:
            chunk = self._read_some(end, min(_CHUNK, size - end))
            newline = chunk.find(b"\n")
            end += len(chunk) if newline < 0 else newline + 1
            if newline >= 0:
                break
        return self.read(max(end - self._position, 0))

    def write(self, data):
        """Writes bytes at the position, and returns their number."""
        data = bytes(data)
        if self._position + len(data) > len(self):
            raise ValueError("data out of range")
        self._write_at(self._position, data)
        self._position += len(data)
        return len(data)

    def write_byte(self, byte):
        """Writes one byte at the position."""
        if self._position >= len(self):
            raise ValueError("write byte out of range")
        self._write_at(self._position, bytes((byte,)))
        self._position += 1

    def seek(self, pos, whence=os.SEEK_SET):
        """Sets the position."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self)}
        if whence not in bases:
            raise ValueError("unknown seek type")
        position = bases[whence] + pos
        if not 0 <= position <= len(self):
            raise ValueError("seek out of range")
        self._position = position

    def tell(self):
        """Returns the position."""
        len(self)  # Raises the exception of a closed map.
        return self._position

    def size(self):
        """Returns the present length of the file, which differs from len() after a change."""
        len(self)  # Raises the exception of a closed map.
        return os.fstat(self._file).st_size

    def flush(self):
        """Writes changes back to the disk, and waits for it."""
        self._call(_library.baremap_map_flush)

    def refresh(self):
        """Maps the file with its present length, and returns it. Missing pages are back then."""
        with self._lock:
            self._length = self._call(_library.baremap_map_refresh)
            return self._length

    def close(self):
        """Unmaps the file. Closing a closed map has no effect."""
        lock = getattr(self, "_lock", None)
        if lock is None:
            return
        with lock:
            handle, self._handle = self._handle, None
            if handle is not None:
                _library.baremap_map_close(handle)
                os.close(self._file)

    @property
    def closed(self):
        """Whether the map is closed."""
        return self._handle is None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()

    def __repr__(self):
        if self.closed:
            return f"<{type(self).__name__} closed=True>"
        access = "ACCESS_WRITE" if self._mode == ACCESS_WRITE else "ACCESS_READ"
        return f"<{type(self).__name__} access={access}, length={len(self)}, pos={self._position}>"
