"""Statements with a name: SQL that is known before it runs, so that tests can prepare and read every one."""

registry: dict[str, "Statement"] = {}


class Statement(str):
    """SQL text. `$1` is the account, unless `spanning` argues why the statement crosses accounts."""

    name: str
    # The same text as a plain str: the driver takes nothing else.
    text: str
    spanning: str | None

    def __new__(cls, name: str, text: str, *, spanning: str | None = None) -> "Statement":
        """Register `text` as `name` (`noun.verb`), once per process."""
        statement = super().__new__(cls, text)
        statement.name = name
        statement.text = text
        statement.spanning = spanning
        if name in registry and registry[name] != text:
            raise ValueError(f"two statements are called {name}")
        registry[name] = statement
        return statement
