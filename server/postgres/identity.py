"""As whom PostgreSQL runs: as ourselves, or, since it refuses to be root, as somebody without root's powers.

As root there are two ways. In a **user namespace** root is seen under another number: files stay root's, every
directory that root's own bits open stays open, nothing changes hands. Where namespaces are forbidden (many
containers), or where the cluster already belongs to somebody else, the process **becomes another user**, and the
cluster is theirs.
"""

import contextlib
import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
# The number under which root is seen in the namespace. It must have a name in /etc/passwd: initdb asks for it.
SEEN_AS = 65534


class Way(Enum):
    """How a child process comes to run as its identity."""

    AS_WE_ARE = "as we are"
    NAMESPACE = "in a user namespace"
    OTHER_USER = "as another user"


@dataclass(frozen=True, slots=True)
class Identity:
    """The user and group that own the cluster's files, and the way to run as them."""

    way: Way
    uid: int
    gid: int

    def entering(self) -> Callable[[], None]:
        """What a child does between fork and exec. It also makes the child end (fast shutdown) with its parent."""
        # Everything that allocates or loads happens here, before the fork.
        libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        parent = os.getpid()

        def enter() -> None:
            if self.way is Way.NAMESPACE and libc is not None:
                _enter_namespace(libc)
            elif self.way is Way.OTHER_USER:
                os.setgroups([])
                os.setgid(self.gid)
                os.setuid(self.uid)
            os.umask(0o077)
            if libc is not None:
                # After the change of user, which clears it.
                libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
                if os.getppid() != parent:
                    os._exit(1)

        return enter

    def can_reach(self, path: Path) -> bool:
        """Whether every directory on the way to `path`, itself included, may be entered."""
        if self.way is not Way.OTHER_USER:
            return True
        return all(self._may_enter(place) for place in (path, *path.parents) if place.is_dir())

    def _may_enter(self, place: Path) -> bool:
        found = place.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & 0o100)
        return bool(found.st_mode & (0o010 if found.st_gid == self.gid else 0o001))

    def take(self, path: Path) -> None:
        """Give a file or directory that we made to this identity; never needed unless we are another user."""
        if self.way is Way.OTHER_USER:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def choose_identity(cluster: Path) -> Identity:
    """As whom the server of this cluster (which need not exist yet) is to run."""
    if os.geteuid() != 0:
        return Identity(Way.AS_WE_ARE, os.geteuid(), os.getegid())
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Identity(Way.OTHER_USER, owner.st_uid, owner.st_gid)
    if namespaces_allowed():
        return Identity(Way.NAMESPACE, 0, 0)
    someone = _ordinary_user()
    return Identity(Way.OTHER_USER, someone.pw_uid, someone.pw_gid)


def namespaces_allowed() -> bool:
    """Whether a child of ours can be root outside and somebody else inside. Tried, not guessed."""
    if sys.platform != "linux":
        return False
    with contextlib.suppress(KeyError, OSError):
        pwd.getpwuid(SEEN_AS)
        libc = ctypes.CDLL(None, use_errno=True)
        child = os.fork()
        if child == 0:
            try:
                _enter_namespace(libc)
                os._exit(0 if os.geteuid() == SEEN_AS else 1)
            finally:
                os._exit(1)
        return os.waitpid(child, 0)[1] == 0
    return False


def _enter_namespace(libc: ctypes.CDLL) -> None:
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    # A process without power over the outer groups may map its own only when it renounces setgroups.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{SEEN_AS} 0 1"), ("gid_map", f"{SEEN_AS} 0 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _ordinary_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise OSError("PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody`.")
