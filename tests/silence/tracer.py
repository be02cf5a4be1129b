"""Traces the system calls of a command by which files are changed or a network is asked: `python tracer.py LOG COMMAND…`.

Linux only. A seccomp filter stops the command, and whatever it starts, at these calls alone; each becomes a JSON line
of LOG: `[process, call, path or address]`. A call that fails is told, too. Status 77 where the machine allows no tracing.
With `--reads` before LOG, files that are opened to be read are told as well.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from typing import IO, Any

REFUSED = 77  # exit status where nothing may be traced
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# call → where its arguments are: `folder, path` pairs of argument numbers (None: the working folder), or an address
_PATHS: dict[str, tuple[tuple[int | None, int], ...]] = {
    "open": ((None, 0),), "openat": ((0, 1),), "openat2": ((0, 1),), "creat": ((None, 0),),
    "mkdir": ((None, 0),), "mkdirat": ((0, 1),), "rmdir": ((None, 0),), "mknod": ((None, 0),), "mknodat": ((0, 1),),
    "rename": ((None, 0), (None, 1)), "renameat": ((0, 1), (2, 3)), "renameat2": ((0, 1), (2, 3)),
    "link": ((None, 1),), "linkat": ((2, 3),), "symlink": ((None, 1),), "symlinkat": ((1, 2),),
    "unlink": ((None, 0),), "unlinkat": ((0, 1),), "truncate": ((None, 0),),
    "chmod": ((None, 0),), "fchmodat": ((0, 1),), "chown": ((None, 0),), "fchownat": ((0, 1),),
    "setxattr": ((None, 0),), "utimensat": ((0, 1),),
}  # fmt: skip
_ADDRESSES = {"connect": (1, 2), "bind": (1, 2), "sendto": (4, 5)}
_OTHERS = ("sendmmsg", "sendmsg", "io_uring_setup")  # where an address or a path would not be seen
_NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": {
        "open": 2, "openat": 257, "openat2": 437, "creat": 85, "mkdir": 83, "mkdirat": 258, "rmdir": 84, "mknod": 133,
        "mknodat": 259, "rename": 82, "renameat": 264, "renameat2": 316, "link": 86, "linkat": 265, "symlink": 88,
        "symlinkat": 266, "unlink": 87, "unlinkat": 263, "truncate": 76, "chmod": 90, "fchmodat": 268, "chown": 92,
        "fchownat": 260, "setxattr": 188, "utimensat": 280, "connect": 42, "bind": 49, "sendto": 44, "sendmmsg": 307,
        "sendmsg": 46, "io_uring_setup": 425,
    },
    "aarch64": {
        "openat": 56, "openat2": 437, "mkdirat": 34, "mknodat": 33, "renameat": 38, "renameat2": 276, "linkat": 37,
        "symlinkat": 36, "unlinkat": 35, "truncate": 45, "fchmodat": 53, "fchownat": 54, "setxattr": 5, "utimensat": 88,
        "connect": 203, "bind": 200, "sendto": 206, "sendmmsg": 269, "sendmsg": 211, "io_uring_setup": 425,
    },
}  # fmt: skip
_FLAGS = {"open": 1, "openat": 2}  # the argument that says whether a file is opened to be written

_TRACEME, _CONT, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 7, 0x4200, 0x420E
_EVENT_SECCOMP, _EVENT_STOP = 7, 128
_OPTIONS = 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000  # forks, threads, execs, the filter; all end with the tracer
_WALL = 0x40000000
_SET_SECCOMP, _SET_NO_NEW_PRIVS, _FILTER = 22, 38, 2
_ALLOW, _TRACE = 0x7FFF0000, 0x7FF00000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class _Program(ctypes.Structure):
    """A filter as the kernel takes it: struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]


def _filter(numbers: list[int]) -> bytes:
    """BPF: load the number of the call; tell the tracer of those that are listed, allow all others."""
    steps = [struct.pack("HBBI", 0x20, 0, 0, 0)]
    steps += [struct.pack("HBBI", 0x15, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
    return b"".join([*steps, struct.pack("HBBI", 0x06, 0, 0, _ALLOW), struct.pack("HBBI", 0x06, 0, 0, _TRACE)])


def _become(command: list[str], numbers: list[int]) -> None:
    """The child's side: traced, filtered, then the command."""
    steps = _filter(numbers)
    program = _Program(len(steps) // 8, steps)
    if _libc.ptrace(_TRACEME, 0, None, None):
        os._exit(REFUSED)
    os.kill(os.getpid(), signal.SIGSTOP)
    refused = _libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program))
    if refused:
        os._exit(REFUSED)
    os.execvp(command[0], command)


def trace(command: list[str], log: IO[str], has_reads: bool = False) -> int:
    """Runs a command to its end and that of all that it starts; its exit status, negative for a signal."""
    names = {number: name for name, number in _NUMBERS[platform.machine()].items()}
    first = os.fork()
    if not first:
        _become(command, [*names])
    _, status = os.waitpid(first, _WALL)
    if not os.WIFSTOPPED(status) or _libc.ptrace(_SETOPTIONS, first, None, _OPTIONS):
        return REFUSED
    known, found = {first}, REFUSED
    _go_on(first)
    while True:
        try:
            process, status = os.waitpid(-1, _WALL)
        except ChildProcessError:
            return found
        if not os.WIFSTOPPED(status):
            found = os.waitstatus_to_exitcode(status) if process == first else found
            continue
        event, stopped_by = status >> 16, os.WSTOPSIG(status)
        if event == _EVENT_SECCOMP:
            for line in _told(process, names, has_reads):
                log.write(json.dumps([process, *line]) + "\n")
        is_new = process not in known and stopped_by == signal.SIGSTOP
        known.add(process)
        _go_on(process, 0 if event or is_new else stopped_by)


def _go_on(process: int, signal_number: int = 0) -> None:
    _libc.ptrace(_CONT, process, None, signal_number)


def _told(process: int, names: dict[int, str], has_reads: bool) -> Iterator[tuple[str, str]]:
    """What a call that is about to be made would change or ask."""
    info = ctypes.create_string_buffer(88)
    if _libc.ptrace(_GET_SYSCALL_INFO, process, ctypes.c_void_p(len(info)), info) <= 0:
        raise OSError("the kernel tells nothing of a call: Linux 5.3 or later is needed")
    number, *arguments = struct.unpack_from("7Q", info.raw, 24)
    name = names[number]
    if name in _PATHS:
        if name not in _FLAGS or arguments[_FLAGS[name]] & WRITES or name == "openat2":
            yield from ((name, _path(process, arguments, *places)) for places in _PATHS[name])
        elif (path := _path(process, arguments, *_PATHS[name][0])) in ("/etc/resolv.conf", "/etc/hosts") or has_reads:
            yield name, path
    elif name in _ADDRESSES:
        at, size = (arguments[i] for i in _ADDRESSES[name])
        if at:
            yield name, _address(_memory(process, at, min(size, 128)))
    else:
        yield name, "?"


def _path(process: int, arguments: list[int], folder: int | None, path: int) -> str:
    """The absolute path that a call names; links are followed but for its last part."""
    text = os.fsdecode(_memory(process, arguments[path], 4096).partition(b"\0")[0])
    number = None if folder is None else ctypes.c_int(arguments[folder]).value
    at = f"/proc/{process}/cwd" if number in (None, -100) else f"/proc/{process}/fd/{number}"
    whole = os.path.join(os.readlink(at) if not os.path.isabs(text) else "/", text)
    return os.path.join(os.path.realpath(os.path.dirname(whole)), os.path.basename(whole)) if text else whole


def _memory(process: int, address: int, size: int) -> bytes:
    """What stands in a process at an address: up to `size` bytes, the page of the first zero, or what can be read."""
    found = b""
    with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
        while len(found) < size and b"\0" not in found:
            here = address + len(found)
            try:
                memory.seek(here)
                part = memory.read(min(size - len(found), 4096 - here % 4096))
            except OSError:
                break
            found += part
    return found


def _address(raw: bytes) -> str:
    """`family host port`, or `unix path`."""
    family = struct.unpack_from("H", raw.ljust(2, b"\0"))[0]
    if family == socket.AF_INET:
        return f"inet {socket.inet_ntop(family, raw[4:8])} {struct.unpack_from('!H', raw, 2)[0]}"
    if family == socket.AF_INET6:
        return f"inet6 {socket.inet_ntop(family, raw[8:24])} {struct.unpack_from('!H', raw, 2)[0]}"
    if family == socket.AF_UNIX:
        name = raw[2:] if raw[2:3] == b"\0" else raw[2:].partition(b"\0")[0]
        return f"unix {name.decode(errors='backslashreplace')}"
    return f"family {family}"


def main(words: list[str]) -> Any:
    """Traces; the command's own status."""
    if sys.platform != "linux" or platform.machine() not in _NUMBERS:
        return REFUSED
    has_reads = words[0] == "--reads"
    path, *command = words[1:] if has_reads else words
    with open(path, "w", encoding="utf-8") as log:
        return trace(command, log, has_reads)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
