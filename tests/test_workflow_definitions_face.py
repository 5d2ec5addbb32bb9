"""Definitions on the face: inputs are the engine's values, and what is sent is what is read."""

from dataclasses import fields, is_dataclass
from typing import Any, get_args

import pytest
from strawberry.types.base import get_object_definition

from engine.workflows.definition import actions, parts, triggers, values
from engine.workflows.definition.document import key, load_as
from schema import workflow_actions, workflow_control_actions, workflow_parts, workflow_triggers
from schema import workflow_definitions as whole
from schema.mirrored import _key, read
from storage.database import Database
from tests.face import opened

INPUTS: dict[type[Any], type[Any]] = {
    **{
        kind: getattr(workflow_triggers, f"{kind.__name__}TriggerInput")
        for kind in get_args(triggers.Trigger)
    },
    **{
        kind: getattr(workflow_actions, f"{kind.__name__}ActionInput") for kind in get_args(actions.AnyAction)
    },
    parts.Duration: workflow_parts.DurationInput,
    parts.Associated: workflow_parts.AssociatedInput,
    parts.OneAssociated: workflow_parts.OneAssociatedInput,
    parts.Equality: workflow_parts.EqualityInput,
    parts.Assignment: workflow_parts.AssignmentInput,
    actions.BranchPart: workflow_control_actions.BranchPartInput,
    actions.ValueCase: workflow_control_actions.ValueCaseInput,
    actions.UntilTime: workflow_control_actions.UntilTimeInput,
    actions.UntilProperty: workflow_control_actions.UntilPropertyInput,
    actions.UntilEvent: workflow_control_actions.UntilEventInput,
    actions.WaitedFor: workflow_control_actions.WaitedForInput,
    values.ExecutionWindow: whole.ExecutionWindowInput,
    values.BlockedDates: whole.BlockedDatesInput,
    values.Timing: whole.TimingInput,
    values.Guards: whole.GuardsInput,
}

ACTIONS: list[dict[str, Any]] = [
    {"createAssociations": {"to": "companies", "match": {"own": "city", "other": "city"}, "label": "x"}},
    {"setProperty": {"property": "city", "value": ["a", None], "of": {"to": "companies", "labels": []}}},
    {
        "branch": {
            "branches": [
                {"where": {"and": []}, "name": "one", "actions": [{"goTo": {"action": "a1"}}]},
                {"where": {"property": {"name": "x", "operator": "KNOWN"}}},
            ],
            "otherwise": [{"end": {"onError": "CONTINUE"}}],
        }
    },
    {"valueBranch": {"property": "city", "cases": [{"values": [None, 1], "actions": [{"end": {}}]}]}},
    {
        "delay": {
            "untilEvent": {
                "event": {"eventOccurred": {"type": "form_submitted"}},
                "timeout": {"value": 2, "unit": "DAY"},
                "timedOut": [{"delay": {"untilTime": {"at": "09:00", "weekdays": ["MONDAY"]}}}],
            }
        }
    },
    {
        "createRecord": {
            "to": "deals",
            "associate": False,
            "properties": [{"property": "name", "stepTime": True}],
        }
    },
]


@pytest.mark.parametrize("kind", INPUTS, ids=lambda kind: kind.__name__)
def test_an_input_has_the_fields_of_the_value(kind: type[Any]) -> None:
    """So that an input's document is a value's document."""
    assert is_dataclass(kind)
    declared: Any = get_object_definition(INPUTS[kind], strict=True)
    assert {_key(field) for field in declared.fields} == {key(field.name) for field in fields(kind)}


def test_the_unions_have_all_kinds() -> None:
    for union, input_ in (
        (actions.AnyAction, workflow_actions.ActionInput),
        (triggers.Trigger, workflow_triggers.TriggerInput),
    ):
        declared: Any = get_object_definition(input_, strict=True)
        assert [field.python_name.replace("_", "") for field in declared.fields] == [
            kind.__name__.lower() for kind in get_args(union)
        ]


def expect_equal(told: Any, value: Any) -> None:
    """What is read of a document says field by field what the engine's value of it says."""
    if is_dataclass(value):
        for field in fields(value):
            expect_equal(getattr(told, field.name), getattr(value, field.name))
    elif isinstance(value, tuple):
        assert len(told) == len(value)
        for one, other in zip(told, value, strict=True):
            expect_equal(one, other)
    else:
        assert (told or None) == (value or None)


@pytest.mark.parametrize("document", ACTIONS, ids=lambda one: next(iter(one)))
def test_what_is_read_is_what_was_written(document: dict[str, Any]) -> None:
    ((name, body),) = document.items()
    kinds = {kind.__name__.lower(): kind for kind in get_args(actions.AnyAction)}
    told = read(workflow_actions.ActionInput, document)
    waited = told.until_event if name == "delay" else None
    value = load_as(kinds[name.lower()], body)
    if waited is not None:
        # A union is read as the one that it is.
        event = value.until_event.event.event_occurred
        expect_equal(waited.event, event)
        expect_equal(waited.timed_out, value.until_event.timed_out)
    else:
        expect_equal(told, value)


def test_a_secret_is_not_read() -> None:
    told = read(
        workflow_actions.ActionInput, {"callWebhook": {"url": "https://x.example", "secret": "s3cret"}}
    )
    assert told.signed is True
    assert "s3cret" not in repr(told)


async def test_an_edit_that_cannot_know_a_secret_keeps_it(db: Database) -> None:
    async with opened(db) as client:
        call = {"id": "call", "url": "https://example.com/hook"}
        fields = """userErrors { code } workflow { id version
                    draft { actions { ... on CallWebhookAction { signed url } } } }"""
        new = {
            "name": "Call",
            "objectType": "contacts",
            "triggers": [{"manual": {}}],
            "actions": [{"callWebhook": {**call, "secret": "s3cret"}}],
        }
        flow = (await client.do("createWorkflow", fields, new))["workflow"]
        for ident, signed in (("call", True), ("another", False)):
            edited = {**call, "id": ident, "url": "https://example.com/other"}
            flow = (
                await client.do(
                    "updateWorkflow",
                    fields,
                    {"id": flow["id"], "version": flow["version"], "actions": [{"callWebhook": edited}]},
                )
            )["workflow"]
            assert flow["draft"]["actions"] == [{"signed": signed, "url": "https://example.com/other"}]
