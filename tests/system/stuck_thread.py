"""Stops one thread of a process, given by its number, as if it hung in a system call, until the process is killed."""

import ctypes
import os
import sys

_SEIZE, _INTERRUPT = 0x4206, 0x4207
_ANY_THREAD = 0x40000000


def _main(thread: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    for request in (_SEIZE, _INTERRUPT):
        if libc.ptrace(request, thread, None, None) == -1:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.waitpid(thread, _ANY_THREAD)  # the thread has stopped
    os.waitpid(thread, _ANY_THREAD)  # collects the killed thread, without which the process would not disappear


if __name__ == "__main__":
    _main(int(sys.argv[1]))
