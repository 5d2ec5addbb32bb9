"""Labels that belong to the system: the primary company, and parent and child companies."""

from dataclasses import dataclass

COMPANIES = "companies"
# Standard object types whose records have a primary company; custom object types have one too.
WITH_PRIMARY_COMPANY = frozenset({"contacts", "deals", "tickets"})


@dataclass(frozen=True, slots=True)
class SystemLabel:
    """Both halves of a label; the first stands at the `from` record. `None`: many."""

    name: str
    label: str
    max_count: int | None
    inverse_name: str
    inverse_label: str
    inverse_max_count: int | None


# A record has at most one primary company; a company is that of many.
PRIMARY = SystemLabel("primary", "Primary", 1, "primary", "Primary", None)

# On the edge A → B, `parent` says that B is A's parent company: there is at most one.
PARENT_CHILD = SystemLabel("parent", "Parent company", 1, "child", "Child company", None)


def system_labels(from_name: str, from_category: str, to_name: str) -> tuple[SystemLabel, ...]:
    """The system's labels that are defined from one object type to another (their inverses are not listed)."""
    if to_name != COMPANIES:
        return ()
    if from_name == COMPANIES:
        return (PARENT_CHILD,)
    if from_name in WITH_PRIMARY_COMPANY or from_category == "CUSTOM":
        return (PRIMARY,)
    return ()
