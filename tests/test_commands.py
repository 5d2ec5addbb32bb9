"""The command line as its users meet it: what it prints, where, and how it ends."""

import asyncio
import os
import re
import stat
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from engine import accounts, keys
from engine.access import Role, Scope
from server.doubts import doubts
from server.settings import BadSetting, Settings, unknown
from storage.database import connect


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and its exit code."""

    out: str
    err: str
    code: int


@dataclass(frozen=True, slots=True)
class Relata:
    """`relata`, run on one database."""

    url: str

    def __call__(self, *arguments: str | Path, **environment: str) -> Said:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELATA_")}
        done = subprocess.run(
            [sys.executable, "-m", "server.cli", *map(str, arguments)],
            env={**inherited, "DATABASE_URL": self.url, "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return Said(done.stdout, done.stderr, done.returncode)


@pytest.fixture
def relata(database_url: str) -> Relata:
    return Relata(database_url)


def holder(url: str, secret: str) -> Any:
    async def asking() -> Any:
        async with connect(url) as db:
            return await keys.authenticate(db, secret)

    return asyncio.run(asking())


def test_a_quiet_key_is_the_key_and_nothing_else(relata: Relata) -> None:
    said = relata("keys", "create", "--account", "acme", "--create", "--role", "super_admin", "--quiet")
    assert (said.err, said.code) == ("", 0)
    assert re.fullmatch(r"\S+\n", said.out)
    principal = holder(relata.url, said.out.strip())
    assert (principal.account_name, principal.role) == ("acme", Role.SUPER_ADMIN)


def test_a_key_is_made_listed_and_revoked(relata: Relata) -> None:
    relata("accounts", "create", "acme")
    secret = relata(
        "keys", "create", "-a", "acme", "--role", "editor", "--scope", "records:read", "--name", "shop"
    ).out
    assert holder(relata.url, secret.strip()).scopes == {Scope.RECORDS_READ}

    listed = relata("keys", "list", "-a", "acme").out
    assert "shop" in listed
    assert "editor" in listed
    assert secret.strip() not in listed
    number = re.search(r"key_\d+", listed)
    assert number is not None

    assert relata("keys", "revoke", "-a", "acme", number[0]).code == 0
    assert holder(relata.url, secret.strip()) is None


def test_accounts_are_made_and_listed(relata: Relata) -> None:
    assert relata("accounts", "create", "beta").code == 0
    assert relata("accounts", "create", "alpha").code == 0
    assert relata("accounts", "list").out.split() == ["alpha", "beta"]
    again = relata("accounts", "create", "beta")
    assert again.code == 1
    assert 'already an account called "beta"' in again.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("keys", "create", "-a", "nobody"), 'There is no account "nobody"; there are: none yet.'),
        (("keys", "create", "-a", "nobody", "--role", "king"), 'There is no role "king"'),
        (("keys", "create", "-a", "nobody", "--scope", "all"), 'There is no scope "all"'),
        (("keys", "revoke", "-a", "nobody", "key_1"), 'There is no account "nobody"'),
        (("import", "no.csv", "-a", "nobody"), "Say what the file holds"),
        (("import", "no.csv", "-a", "nobody", "--type", "contacts", "--key", "email"), 'no account "nobody"'),
    ],
)
def test_a_mistake_is_one_clear_sentence(relata: Relata, arguments: tuple[str, ...], told: str) -> None:
    said = relata(*arguments)
    assert said.code == 1
    assert told in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"RELATA_PORT": "eighty"}, 'RELATA_PORT: "eighty" is not a whole number from 0 to 65535.'),
        ({"RELATA_LOG_FORMAT": "xml"}, 'RELATA_LOG_FORMAT: "xml" is not one of text, json.'),
        ({"DATABASE_URL": "mysql://root:secret@there"}, "DATABASE_URL: the value is not an address such as"),
        (
            {"DATABASE_URL": "postgresql://me:secret@127.0.0.1:9/gone", "RELATA_DATABASE_SECONDS": "0"},
            "The database gone at 127.0.0.1 cannot be used",
        ),
        (
            {"DATABASE_URL": "postgresql://me:secret@[::1/gone"},
            "DATABASE_URL: the value is not an address such as",
        ),
        (
            {"DATABASE_URL": "postgresql://me:secret@there/gone?sslmode=odd"},
            "The database gone at there cannot be used",
        ),
        (
            {"RELATA_PUBLIC_URL": "http://["},
            'RELATA_PUBLIC_URL: "http://[" is not an address such as https://',
        ),
        ({"RELATA_DATA_DIR": "~nobody-is-called-so/data"}, "is not a path: there is no such home directory."),
    ],
)
def test_a_bad_setting_is_told_and_no_password_shown(
    relata: Relata, environment: dict[str, str], told: str
) -> None:
    said = relata("accounts", "list", **environment)
    assert said.code == 1
    assert told in said.err
    assert "secret" not in said.err
    assert "Traceback" not in said.err


def test_a_misspelt_setting_is_pointed_out() -> None:
    # The examples are asked with a key in the environment, where the command is run, too.
    given = {"RELATA_PROT": "80", "RELATA_PORT": "80", "RELATA_KEY": "relata_1_x", "HOME": "/"}
    assert unknown(given) == ["RELATA_PROT"]


def test_settings_that_do_not_go_together_are_pointed_out() -> None:
    mails = {"RELATA_SMTP_URL": "smtp://mx.example", "RELATA_MAIL_FROM": "crm@example.com"}
    public = {"RELATA_PUBLIC_URL": "https://crm.example.com"}

    def told(listens: bool, **environment: str) -> list[str]:
        found = doubts(Settings.from_environment(environment), listens=listens)
        return [word for doubt in found for word in doubt.rstrip(".").split() if "_" in word]

    assert told(True) == told(True, **mails, **public) == told(True, RELATA_HOST="::1") == []
    assert told(False, **mails) == told(True, **mails) == ["RELATA_PUBLIC_URL"]
    for host in ("0.0.0.0", "::", "crm.internal"):
        assert told(True, RELATA_HOST=host) == ["RELATA_PUBLIC_URL"]
        assert told(False, RELATA_HOST=host) == told(True, RELATA_HOST=host, **public) == []
    for given, missing in (("RELATA_SMTP_URL", "RELATA_MAIL_FROM"), ("RELATA_MAIL_FROM", "RELATA_SMTP_URL")):
        assert told(False, **{given: mails[given]}) == [missing]


def test_settings_come_from_the_environment_and_reach_a_child_unchanged() -> None:
    chosen = Settings.from_environment(
        {"RELATA_PORT": "9000", "RELATA_DATA_DIR": "/srv/relata", "RELATA_HOST": ""}
    )
    assert (chosen.port, chosen.data_dir, chosen.host) == (9000, Path("/srv/relata"), "127.0.0.1")
    assert Settings.from_environment(chosen.environment()) == chosen
    with pytest.raises(BadSetting, match="RELATA_WORKERS"):
        Settings.from_environment({"RELATA_WORKERS": "-1"})


GARBAGE = (
    *(
        "-1",
        "0",
        "9" * 5_000,
        "☃",
        "\udcff",
        "x" * 100_000,
        "a\nb",
        "\x1b[0m",
        "~nobody-is-called-so/x",
        "1_000",
    ),
    *("http://[", "http://a b", "http://host:99999", "https://host:port", "tcp://", "http://x, ,*"),
    *("postgresql://[", "postgresql://h:port/x", "postgresql:///x?port=y", "postgresql://[::1]:1,h:99999/x"),
    *("smtp://[", "smtp://h:99999", "smtp://h?starttls=perhaps", "Relata <>"),
)


def read(variable: str, given: str) -> Settings | BadSetting:
    try:
        return Settings.from_environment({variable: given})
    except BadSetting as problem:
        return problem


def test_whatever_a_setting_says_is_taken_or_refused_in_one_short_sentence() -> None:
    refused = [
        str(problem)
        for setting in fields(Settings)
        for given in GARBAGE
        if isinstance(problem := read(setting.metadata["variable"], given), BadSetting)
    ]
    assert len(refused) > 500
    for said in refused:
        assert re.fullmatch(r"[A-Z_]+: (the value|\".*[\"…]) is not (an? |one |origins )[^\n]+\.", said), said
        assert len(said) < 300
        assert "\x1b" not in said
    for address in ("http://[::1]:8000", "https://crm.example.com/a", "http://127.0.0.1"):
        assert Settings.from_environment({"RELATA_PUBLIC_URL": address}).public_url == address
    for address in (
        "postgresql://u:p@[::1]:1,h:5432/x?port=1,2",
        "postgres:///x?host=/run",
        "postgresql://h:/x",
    ):
        assert Settings.from_environment({"DATABASE_URL": address}).database_url == address


@pytest.mark.parametrize("host", ["http://[", "x" * 300, "\udcff", "999.1.1.1"])
def test_a_host_that_cannot_be_is_told_in_one_sentence(relata: Relata, host: str) -> None:
    said = relata("serve", RELATA_HOST=host, RELATA_PORT="0", RELATA_PUBLIC_URL="http://crm.example")
    assert said.code == 1
    assert said.err.startswith("Error: RELATA_HOST is ")
    assert "Traceback" not in said.err


def test_migrating_again_changes_nothing(relata: Relata) -> None:
    assert relata("migrate").out == "The database is up to date.\n"


def test_the_schema_is_the_one_that_is_kept(relata: Relata) -> None:
    kept = Path(__file__).resolve().parents[1] / "schema.graphql"
    assert relata("schema").out.rstrip("\n") == kept.read_text().rstrip("\n")


@pytest.mark.parametrize(
    "command", ["serve", "work", "migrate", "demo", "import", "keys", "accounts", "schema"]
)
def test_every_command_explains_itself(relata: Relata, command: str) -> None:
    said = relata(command, "--help")
    assert said.code == 0
    assert f"relata {command}" in said.out


def test_an_import_tells_the_wrong_rows_and_keeps_the_others(relata: Relata, tmp_path: Path) -> None:
    relata("accounts", "create", "acme")
    people = tmp_path / "people.csv"
    people.write_text("email,firstname\nann@example.com,Ann\n,Nobody\nbob@example.com,Bob\n")
    said = relata("import", people, "-a", "acme", "--type", "contacts", "--key", "email")
    assert said.code == 1
    assert "3 rows: 2 created, 0 updated, 0 unchanged, 1 failed." in said.out
    assert re.search(r"^\s*2\s+email", said.err, re.MULTILINE)

    people.write_text("email,firstname\nann@example.com,Anna\nbob@example.com,Bob\n")
    said = relata("import", people, "-a", "acme", "--type", "contacts", "--key", "email")
    assert (said.code, said.out) == (0, "2 rows: 0 created, 1 updated, 1 unchanged, 0 failed.\n")


def test_what_is_wrong_in_many_rows_is_told_once(relata: Relata, tmp_path: Path) -> None:
    relata("accounts", "create", "grouped")
    people = tmp_path / "people.csv"
    wrong = "".join(f"p{n}@example.com,yesterday\n" for n in range(30))
    people.write_text(f"email,date_of_birth\nann@example.com,2001-02-03\n{wrong},2001-02-03\n")
    said = relata("import", people, "-a", "grouped", "--type", "contacts", "--key", "email")
    assert "32 rows: 1 created, 0 updated, 0 unchanged, 31 failed." in said.out
    told = [line.split() for line in said.err.splitlines() if line.strip()]
    assert [line[:11] for line in told[1:]] == [
        ["2,", "3,", "4,", "5,", "6", "and", "25", "more", "date_of_birth", "yesterday", "The"],
        ["32", "email", *told[2][2:11]],
    ]


def test_an_import_goes_by_a_plan_that_was_proposed_and_a_check_changes_nothing(
    relata: Relata, tmp_path: Path
) -> None:
    people, plan = tmp_path / "people.csv", tmp_path / "plan.json"
    people.write_text("E-Mail;First name\nzoe@x.example;Zoe\nyan@x.example;Yan\nragged\n")
    relata("accounts", "create", "planned")
    proposed = relata("import", people, "-a", "planned", "--propose")
    plan.write_text(proposed.out)
    checked = relata("import", people, "-a", "planned", "--plan", plan, "--check")
    assert "3 rows: 2 to create, 0 to update, 0 unchanged, 1 failed." in checked.out
    for told in ("2 created, 0 updated, 0 unchanged", "0 created, 0 updated, 2 unchanged"):
        said = relata("import", people, "-a", "planned", "--plan", plan)
        assert f"3 rows: {told}, 1 failed." in said.out
        assert said.code == 1


def test_an_import_of_associations_joins_what_an_import_of_records_made(
    relata: Relata, tmp_path: Path
) -> None:
    relata("accounts", "create", "acme")
    people, firms, jobs = tmp_path / "people.csv", tmp_path / "firms.csv", tmp_path / "jobs.csv"
    people.write_text("E-mail,firstname\nann@example.com,Ann\n")
    firms.write_text("domain,name\nexample.com,Example\n")
    jobs.write_text("who,where\nann@example.com,example.com\nann@example.com,nowhere.example\n")
    relata(
        "import", people, "-a", "acme", "--type", "contacts", "--key", "E-mail", "--column", "E-mail=email"
    )
    relata("import", firms, "-a", "acme", "--type", "firms", "--key", "domain", "--create")
    said = relata("import", jobs, "-a", "acme", "--from", "contacts.email", "--to", "firms.domain")
    assert said.code == 1
    assert "2 rows: 1 created, 0 updated, 0 unchanged, 1 failed." in said.out
    assert "nowhere.example" in said.err


def test_a_secret_file_is_for_its_owner_alone(database_url: str, tmp_path: Path) -> None:
    from rich.console import Console

    from server.welcome import Welcome

    async def starting() -> tuple[str | None, str | None]:
        seen = []
        async with connect(database_url) as db:
            from server.clock import now

            await accounts.create(db, "demo", now=now())
            for _ in range(2):
                welcome = Welcome(Settings(data_dir=tmp_path), Console(quiet=True), demo=True)
                await welcome.prepare(db)
                seen.append(welcome.key)
        return seen[0], seen[1]

    first, second = asyncio.run(starting())
    assert first == second
    assert holder(database_url, str(first)).account_name == "demo"
    assert stat.S_IMODE((tmp_path / "demo-key").stat().st_mode) == 0o600
