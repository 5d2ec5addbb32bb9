"""Where things lie in a data directory, and the short directories that sockets need.

DATA_DIR/postgres/          the cluster
DATA_DIR/postgres.new-*/    a cluster being made; renamed when it is whole
DATA_DIR/postgres.log       what PostgreSQL and its warden say
DATA_DIR/warden.lock        held by the warden as long as it lives
DATA_DIR/postmaster.lock    held by every PostgreSQL process as long as one lives
DATA_DIR/run/               sockets, unless the path is too long for them
"""

import contextlib
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

# A unix socket's path holds 107 bytes on Linux and 103 on macOS.
SOCKET_PATH_BYTES = 103
# Not TMPDIR: processes that differ in it would miss each other.
SHORT = Path("/tmp")
SOCKET_NAME = ".s.PGSQL.5432.lock"


class UnsafePlace(Exception):
    """A directory that somebody else could have prepared for us."""


@dataclass(frozen=True, slots=True)
class Places:
    """The paths that belong to one data directory, which exists and is absolute."""

    data_dir: Path

    @classmethod
    def of(cls, data_dir: Path) -> "Places":
        """The places of a data directory, made when it is missing. Raises OSError."""
        data_dir = data_dir.expanduser().absolute()
        data_dir.mkdir(parents=True, exist_ok=True)
        return cls(data_dir.resolve())

    @property
    def cluster(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def log(self) -> Path:
        return self.data_dir / "postgres.log"

    @property
    def warden_lock(self) -> Path:
        return self.data_dir / "warden.lock"

    @property
    def postmaster_lock(self) -> Path:
        return self.data_dir / "postmaster.lock"

    def run_dir(self) -> Path:
        """The directory for sockets: in the data directory, or in /tmp when that path is too long or unusual."""
        inside = self.data_dir / "run"
        # A comma parts hosts in an address, and not every client unquotes what else there may be.
        unusual = re.fullmatch(r"[\w./+~@-]+", str(inside), re.ASCII) is None
        if unusual or len(os.fsencode(inside / SOCKET_NAME)) > SOCKET_PATH_BYTES:
            return self.short_dir("run", self.data_dir.stat().st_uid)
        inside.mkdir(mode=0o700, exist_ok=True)
        return inside

    @property
    def control_name(self) -> str:
        return "warden.sock"

    def short_dir(self, what: str, uid: int) -> Path:
        """A private directory in /tmp, the same one for every process that asks for this data directory.

        Raises UnsafePlace when somebody else's directory stands in its place.
        """
        name = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        short = SHORT / f"relata-{name}-{what}-{uid}"
        try:
            short.mkdir(mode=0o700)
            if os.geteuid() == 0 and uid != 0:
                os.chown(short, uid, -1)
        except FileExistsError:
            pass
        found = short.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
            raise UnsafePlace(f"{short} is in the way and is not ours; remove it.")
        return short

    def leave(self, *directories: Path) -> None:
        """Remove those of our short directories in /tmp that are empty."""
        for directory in directories:
            if directory.parent == SHORT:
                with contextlib.suppress(OSError):
                    directory.rmdir()
