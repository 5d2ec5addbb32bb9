"""What an owner orders of the warden that it starts."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """The data directory, the binaries (None: find them), and whether commits must survive the machine."""

    data_dir: str
    bin_dir: str | None
    durable: bool
    # The first owner's connection, inherited.
    owner: int

    def text(self) -> str:
        return json.dumps(asdict(self))
