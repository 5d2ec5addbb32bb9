"""What an operator may choose, read once from the environment and passed down as a value."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from engine.values import shown
from server import setting_values as values
from server.limits.values import Limits
from server.outbox import Options
from server.outbox.mails import MailServer, sender
from server.persisted import BadDocuments, Listed, read


class BadSetting(Exception):
    """A setting cannot be understood; the message names it, its value and what is expected."""


def _setting(
    default: Any, variable: str, parse: Callable[[str], Any], about: str, *, visible: bool = True
) -> Any:
    return field(
        default=default, repr=visible, metadata={"variable": variable, "parse": parse, "about": about}
    )


# What is never shown, not even where it is wrong.
SECRET = frozenset({"database_url", "direct_url", "smtp_url", "secret_key"})


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of an installation. docs/settings.md is their table; a test holds the two together."""

    host: str = _setting("127.0.0.1", "RELATA_HOST", values.text, "The address that the API listens on.")
    port: int = _setting(
        8000, "RELATA_PORT", values.port, "The port that it listens on; 0 takes any free one."
    )
    public_url: str | None = _setting(
        None,
        "RELATA_PUBLIC_URL",
        values.public_url,
        "Where others reach the API, such as https://crm.example.com: all addresses that are given out begin so.",
    )
    data_dir: Path = _setting(
        Path(".data"), "RELATA_DATA_DIR", values.path, "Where the built-in PostgreSQL keeps its data."
    )
    database_url: str | None = _setting(
        None,
        "DATABASE_URL",
        values.database_url,
        "A PostgreSQL server of your own (16 or newer), instead of the built-in one.",
    )
    direct_url: str | None = _setting(
        None,
        "RELATA_DIRECT_URL",
        values.database_url,
        "The same server itself, where DATABASE_URL leads to a [pooler](operations.md#behind-a-pooler).",
    )
    database_seconds: int = _setting(
        60,
        "RELATA_DATABASE_SECONDS",
        values.whole(0, 86_400),
        "How long a process waits at its start for a database that cannot be reached ([operations](operations.md)).",
    )
    pg_bin: Path | None = _setting(
        None,
        "RELATA_PG_BIN",
        values.path,
        "The directory of other PostgreSQL binaries (16 or newer) for the built-in server.",
    )
    workers: int = _setting(
        1,
        "RELATA_WORKERS",
        values.whole(0, 64),
        "Worker processes that `relata serve` runs beside the API; 0 when they run elsewhere.",
    )
    hands: int = _setting(
        5,
        "RELATA_HANDS",
        values.whole(0, 64),
        "Processes, at most one more than cores, that a worker or `relata import` has share what is big; 0: none.",
    )
    pool_size: int = _setting(
        10, "RELATA_POOL_SIZE", values.whole(2, 500), "Database connections of each process, at most."
    )
    request_bytes: int = _setting(
        10_485_760, "RELATA_REQUEST_BYTES", values.whole(1_000, 2**31), "The largest request body, in bytes."
    )
    import_bytes: int = _setting(
        2_147_483_648,
        "RELATA_IMPORT_BYTES",
        values.whole(1_000, 2**40),
        "The largest file that is imported through the API, in bytes ([imports](imports.md)).",
    )
    request_seconds: int = _setting(
        30,
        "RELATA_REQUEST_SECONDS",
        values.whole(1, 3600),
        "How long a query or a mutation may take, in seconds.",
    )
    max_cost: int = _setting(
        250_000,
        "RELATA_MAX_COST",
        values.whole(1, 10**9),
        "What one operation may cost ([limits](limits.md)).",
    )
    max_depth: int = _setting(
        50,
        "RELATA_MAX_DEPTH",
        values.whole(1, 100),
        "Levels of fields within fields; a traversal takes three each.",
    )
    max_aliases: int = _setting(
        100,
        "RELATA_MAX_ALIASES",
        values.whole(0, 10_000),
        "Aliases in a document, and repetitions of a field.",
    )
    max_directives: int = _setting(
        50, "RELATA_MAX_DIRECTIVES", values.whole(0, 10_000), "Directives in a document."
    )
    max_tokens: int = _setting(
        10_000, "RELATA_MAX_TOKENS", values.whole(100, 1_000_000), "Tokens of a document."
    )
    max_fields: int = _setting(
        5_000,
        "RELATA_MAX_FIELDS",
        values.whole(10, 100_000),
        "Fields of an operation, with those of its fragments.",
    )
    max_page: int = _setting(500, "RELATA_MAX_PAGE", values.whole(50, 10_000), "The largest page of a list.")
    max_batch: int = _setting(1_000, "RELATA_MAX_BATCH", values.whole(1, 10_000), "Inputs of one batch.")
    introspection: str = _setting(
        "on", "RELATA_INTROSPECTION", values.one_of("on", "off"), "Whether keys may ask for the schema."
    )
    cors_origins: str | None = _setting(
        None,
        "RELATA_CORS_ORIGINS",
        values.origins,
        "Origins whose pages may use the API from a browser, divided by commas; none unless named.",
    )
    documents: Path | None = _setting(
        None,
        "RELATA_DOCUMENTS",
        values.path,
        "Listed documents: a directory of .graphql files, or a JSON manifest ([limits](limits.md)).",
    )
    documents_only: str = _setting(
        "off", "RELATA_DOCUMENTS_ONLY", values.one_of("on", "off"), "Whether only listed documents run."
    )
    smtp_url: str | None = _setting(
        None,
        "RELATA_SMTP_URL",
        values.smtp_url,
        "The mail server ([mail and webhooks](outside.md)); without it no mails are sent.",
    )
    mail_from: str | None = _setting(
        None, "RELATA_MAIL_FROM", values.mail_from, "Whom mails are from, such as Relata <crm@example.com>."
    )
    webhooks_allow_private: str = _setting(
        "off",
        "RELATA_WEBHOOKS_ALLOW_PRIVATE",
        values.one_of("on", "off"),
        "Whether webhooks may be at private addresses, this machine's included.",
    )
    secret_key: str | None = _setting(
        None,
        "RELATA_SECRET_KEY",
        values.secret_keys,
        "Seals the credentials of connections ([keys](#the-key-of-credentials)); else a file in RELATA_DATA_DIR.",
        visible=False,
    )
    sync_allow_private: str = _setting(
        "on",
        "RELATA_SYNC_ALLOW_PRIVATE",
        values.one_of("on", "off"),
        "Whether connections may be to private addresses; off where not every account is trusted.",
    )
    outbox_attempts: int = _setting(
        16,
        "RELATA_OUTBOX_ATTEMPTS",
        values.whole(1, 100),
        "How often a mail or a call is tried before it counts as failed; 16 take about a day.",
    )
    outbox_seconds: int = _setting(
        20,
        "RELATA_OUTBOX_SECONDS",
        values.whole(1, 300),
        "How long a receiver may take to answer, in seconds.",
    )
    outbox_calls: int = _setting(
        64,
        "RELATA_OUTBOX_CALLS",
        values.whole(1, 1_000),
        "Mails and calls at a time, in each worker process.",
    )
    outbox_calls_a_host: int = _setting(
        8,
        "RELATA_OUTBOX_CALLS_A_HOST",
        values.whole(1, 1_000),
        "Of these, how many for one host; mails are all for one.",
    )
    metrics: str = _setting(
        "off",
        "RELATA_METRICS",
        values.one_of("on", "off"),
        "Whether /metrics answers whoever asks, for Prometheus ([operations](operations.md#metrics)).",
    )
    metrics_port: int | None = _setting(
        None,
        "RELATA_METRICS_PORT",
        values.port,
        "The port at which `relata work` answers /metrics and /healthz; none unless it is said.",
    )
    log_level: str = _setting(
        "info",
        "RELATA_LOG_LEVEL",
        values.one_of("debug", "info", "warning", "error"),
        "The least that is logged; debug tells of every request.",
    )
    log_format: str = _setting(
        "text",
        "RELATA_LOG_FORMAT",
        values.one_of("text", "json"),
        "Log lines for people or, one JSON object each, for machines.",
    )

    def limits(self) -> Limits:
        """What one request may ask for."""
        return Limits(
            depth=self.max_depth,
            cost=self.max_cost,
            aliases=self.max_aliases,
            directives=self.max_directives,
            tokens=self.max_tokens,
            fields=self.max_fields,
            page=self.max_page,
            batch=self.max_batch,
            body=self.request_bytes,
            files=self.import_bytes,
            seconds=self.request_seconds,
            introspection=self.introspection == "on",
        )

    def sending(self) -> Options:
        """How mails and calls of webhooks are sent."""
        return Options(
            calls=self.outbox_calls,
            calls_a_host=self.outbox_calls_a_host,
            attempts=self.outbox_attempts,
            seconds=self.outbox_seconds,
            allow_private=self.webhooks_allow_private == "on",
            mail_server=None if self.smtp_url is None else MailServer.read(self.smtp_url),
            mail_from=None if self.mail_from is None else sender(self.mail_from),
            public_url=self.public_url,
        )

    def listed_documents(self) -> Listed:
        """The documents that may be asked for by name. Raises BadSetting."""
        only = self.documents_only == "on"
        if self.documents is None:
            if only:
                raise BadSetting("RELATA_DOCUMENTS_ONLY needs RELATA_DOCUMENTS: the documents that may run.")
            return Listed()
        try:
            return read(self.documents, only=only)
        except BadDocuments as error:
            raise BadSetting(f"RELATA_DOCUMENTS: {error}") from None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """The defaults, and what the environment says otherwise; an empty variable says nothing. Raises BadSetting."""
        chosen: dict[str, Any] = {}
        for each in fields(cls):
            variable = each.metadata["variable"]
            if given := environment.get(variable, "").strip():
                try:
                    chosen[each.name] = each.metadata["parse"](given)
                except ValueError as expected:
                    told = "the value" if each.name in SECRET else shown(given)
                    raise BadSetting(f"{variable}: {told} is not {expected}.") from None
        return cls(**chosen)

    def environment(self) -> dict[str, str]:
        """What makes a child process read the same settings."""
        return {
            each.metadata["variable"]: str(value)
            for each in fields(self)
            if (value := getattr(self, each.name)) is not None
        }


# Read by the test suite, and by examples that ask the API, never by the product.
FOR_OTHERS = frozenset({"RELATA_TEST_DATABASE_URL", "RELATA_TESTS_DIR", "RELATA_KEY", "RELATA_URL"})


def unknown(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The names in the environment that look like settings and are none: misspelt ones, most likely."""
    known = FOR_OTHERS | {each.metadata["variable"] for each in fields(Settings)}
    return sorted(name for name in environment if name.startswith("RELATA_") and name not in known)
