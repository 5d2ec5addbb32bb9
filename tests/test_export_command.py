"""`relata export`: what `relata import` brought in goes out, and comes in again."""

from pathlib import Path

from tests.test_commands import Relata, relata  # noqa: F401 - a fixture


def test_a_file_goes_round(relata: Relata, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "people.csv"
    file.write_text("email,lastname\nann@x.org,=1+1\nbob@x.org,Óg\n", encoding="utf-8")
    for account in ("acme", "empty"):
        relata("accounts", "create", account)
    assert relata("import", file, "-a", "acme", "--type", "contacts", "--key", "email").code == 0
    asked = ("--type", "contacts", "-c", "email", "-c", "lastname", "--order-by", "email")
    first = tmp_path / "first.csv"
    said = relata("export", first, "-a", "acme", *asked)
    assert (said.code, said.err) == (0, ""), said
    assert first.read_bytes().decode("utf-8-sig") == "email,lastname\r\nann@x.org,'=1+1\r\nbob@x.org,Óg\r\n"
    assert relata("import", first, "-a", "empty", "--type", "contacts", "--key", "email").code == 0
    second = tmp_path / "second.csv"
    relata("export", second, "-a", "empty", *asked)
    assert second.read_bytes() == first.read_bytes()
    told = relata("export", "-", "-a", "acme", *asked, "-f", "jsonl")
    assert told.out.splitlines() == [
        '{"email":"ann@x.org","lastname":"=1+1"}',
        '{"email":"bob@x.org","lastname":"Óg"}',
    ]
    where = '{"property": {"name": "lastname", "operator": "EQUALS", "value": "Óg"}}'
    few = relata("export", "-", "-a", "acme", *asked, "--where", where)
    assert few.out.count("\n") == 2


def test_what_cannot_be_exported_leaves_no_file(relata: Relata, tmp_path: Path) -> None:  # noqa: F811
    relata("accounts", "create", "acme")
    for arguments in (
        ("--type", "nobodies"),
        ("--type", "contacts", "-c", "nothing"),
        ("--type", "contacts", "-f", "pdf"),
        ("--type", "contacts", "--where", "{"),
    ):
        said = relata("export", tmp_path / "out.csv", "-a", "acme", *arguments)
        assert said.code == 1
        assert said.err.startswith("Error:")
        assert "Traceback" not in said.err
    assert relata("export", tmp_path / "no" / "out.csv", "-a", "acme", "--type", "contacts").code == 1
    assert list(tmp_path.iterdir()) == []
