"""Locks of the operating system on files: gone when their holder is, whatever ended it, also on another machine.

flock works on local disks and on NFS (there as a lock of the server); Lustre must be mounted with -o flock.
"""

import fcntl
import os
from pathlib import Path


def take(path: Path, shared: bool = False, wait: bool = True) -> int | None:
    """Make the file `path`, lock it and return its descriptor; None when it is locked by another and `wait` is False.

    OSError when the file system has no locks.
    """
    kind = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(lock, kind)
            if _names(path, lock):
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except OSError:
            os.close(lock)
            raise
        os.close(lock)  # the one that held it took the file away: what was locked is a file without a name


def drop(path: Path, lock: int) -> None:
    """Give an exclusive lock back, and take the file away."""
    path.unlink(missing_ok=True)
    os.close(lock)


def alone(lock: int) -> bool:
    """Turn a shared lock into an exclusive one if nobody shares it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Tell whether some process holds the lock `path`."""
    try:
        lock = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not alone(lock)
    finally:
        os.close(lock)


def _names(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
