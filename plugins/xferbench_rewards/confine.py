"""The walls around code that nobody has read: limits, namespaces, Landlock and seccomp of Linux, put up from inside.

This file is run by path in processes that must not load anything else of the house: it needs the standard library only.
The layers hold independently, and each tells whether it stands:

limits      processor time, memory, size and number of files (setrlimit)
namespaces  a user, network and IPC world of its own: no network, no capability outside
files       nothing can be written, made or deleted but in the working folder (Landlock)
calls       no new process or program, no socket, no signal to others, no tracing, no change of limits (seccomp)
"""

import ctypes
import math
import os
import platform
import resource
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
NEWUSER, NEWNET, NEWIPC = 0x10000000, 0x40000000, 0x08000000
SET_DUMPABLE, SET_NO_NEW_PRIVS, SET_PDEATHSIG, SET_SECCOMP = 4, 38, 1, 22
WRITES = 0b1111111111110010  # every right of Landlock but execute, read a file and read a folder; up to ABI 4
# Forbidden calls: number on x86_64, on aarch64 (None: there is no such call).
CALLS: dict[str, tuple[int, int | None]] = {
    "fork": (57, None), "vfork": (58, None), "clone3": (435, 435), "execve": (59, 221), "execveat": (322, 281),
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "sendto": (44, 206),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "setsid": (112, 157), "setpgid": (109, 154), "prlimit64": (302, 261), "setrlimit": (160, 164),
    "setpriority": (141, 140), "sched_setaffinity": (203, 122), "ioprio_set": (251, 30), "unshare": (272, 97),
    "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430), "mount_setattr": (442, 442),
    "bpf": (321, 280), "perf_event_open": (298, 241), "io_uring_setup": (425, 425), "userfaultfd": (323, 282),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "shmget": (29, 194), "semget": (64, 190),
    "msgget": (68, 186), "mq_open": (240, 180), "reboot": (169, 142), "init_module": (175, 105),
    "finit_module": (313, 273), "kexec_load": (246, 104), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, None), "fchown": (93, 55),
    "lchown": (94, None), "fchownat": (260, 54), "utimensat": (280, 88), "setxattr": (188, 5), "prctl": (157, 167),
}  # fmt: skip
MACHINES = {"x86_64": (0, 0xC000003E, 56), "aarch64": (1, 0xC00000B7, 220)}
"""Machine -> its column in CALLS, its name for seccomp, its number of clone."""


def limit(seconds: float, megabytes: int) -> bool:
    """Limit processor time, address space, files of 1 MB and 64 of them at a time; no core dumps."""
    whole = math.ceil(seconds)
    wanted = {
        resource.RLIMIT_CPU: whole,
        resource.RLIMIT_AS: megabytes * 2**20,
        resource.RLIMIT_FSIZE: 2**20,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in wanted.items():
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
    return True


def separate() -> bool:
    """Enter namespaces of user, network and IPC; False where the system does not let us."""
    return LIBC.unshare(NEWUSER | NEWNET | NEWIPC) == 0


def hold_files(folder: str) -> bool:
    """Let this process write, make and delete files below `folder` only (Landlock, Linux 5.13)."""
    version = LIBC.syscall(444, None, 0, 1)
    if version < 1:
        return False
    rights = WRITES & ((1 << (13 if version == 1 else 14 if version == 2 else 15)) - 1)
    rules = struct.pack("Q", rights)
    ruleset = LIBC.syscall(444, rules, len(rules), 0)
    inside = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, inside)
        fine = ruleset >= 0 and LIBC.syscall(445, ruleset, 1, rule, 0) == 0
        return bool(fine and LIBC.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 and LIBC.syscall(446, ruleset, 0) == 0)
    finally:
        os.close(inside)
        if ruleset >= 0:
            os.close(ruleset)


def forbid_calls() -> bool:
    """Make the calls of CALLS fail with EPERM, and clone but for threads (seccomp); False on an unknown machine."""
    if platform.machine() not in MACHINES:
        return False
    column, machine, clone = MACHINES[platform.machine()]
    numbers = sorted({number for pair in CALLS.values() if (number := pair[column]) is not None})
    load, equal, above, tests, give = 0x20, 0x15, 0x35, 0x45, 0x06
    refuse, allow, kill = 0x00050000 | 1, 0x7FFF0000, 0x80000000
    lines: list[tuple[int, int, int, int]] = [(load, 0, 0, 4), (equal, 1, 0, machine), (give, 0, 0, kill)]
    lines += [(load, 0, 0, 0)]
    lines += [(above, 0, 1, 0x40000000), (give, 0, 0, refuse)]  # the x32 calls are another door to the same
    for number in numbers:  # clone3 says "not there", so that threads fall back on clone
        error = refuse - 1 + 38 if number == CALLS["clone3"][column] else refuse
        lines += [(equal, 0, 1, number), (give, 0, 0, error)]
    lines += [(equal, 0, 3, clone), (load, 0, 0, 16), (tests, 1, 0, 0x00010000), (give, 0, 0, refuse)]
    lines += [(give, 0, 0, allow)]
    code = b"".join(struct.pack("HBBI", *line) for line in lines)
    held = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(held))
    LIBC.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return LIBC.prctl(SET_SECCOMP, 2, program, 0, 0) == 0


def hide() -> None:
    """Let no process of the same user look into this one (/proc/PID/mem, ptrace)."""
    LIBC.prctl(SET_DUMPABLE, 0, 0, 0, 0)


def die_with_parent() -> None:
    """Be killed when the parent ends."""
    LIBC.prctl(SET_PDEATHSIG, 9, 0, 0, 0)


def confine(folder: str, seconds: float, megabytes: int) -> dict[str, bool]:
    """Put up all walls, in an order in which none hinders the next; return which stand."""
    os.chdir(folder)
    stands = {"limits": limit(seconds, megabytes), "namespaces": separate(), "files": hold_files(folder)}
    return {**stands, "calls": forbid_calls()}
