"""Our own PostgreSQL: started on demand from plain binaries, shared by those that need it, gone with the last.

`start(data_dir)` answers an owner's handle with the address of a running server. Behind it stands one small process,
the warden (`server.postgres.warden`): PostgreSQL is its child, and every owner holds a connection to it. A process
that ends, however it ends, drops its connection; when the last one is gone, the warden stops PostgreSQL and ends too.
"""

from server.postgres.binaries import NoBinaries, find_binaries
from server.postgres.owner import CannotStart, PostgresServer, start

__all__ = ["CannotStart", "NoBinaries", "PostgresServer", "find_binaries", "start"]
