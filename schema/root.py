"""The schema: every noun's queries, mutations and subscriptions, joined."""

import strawberry
from graphql import GraphQLSchema
from strawberry.schema.config import StrawberryConfig

from schema.accounts import AccountMutation, AccountQuery
from schema.associations import AssociationMutation
from schema.change_pages import ChangePageQuery
from schema.changes import ChangeSubscription
from schema.connections import ConnectionMutation, ConnectionQuery
from schema.documentation import document
from schema.dry_runs import DryRunQuery
from schema.enrollment_mutations import EnrollmentMutation
from schema.enrollments import EnrollmentQuery
from schema.event_mutations import EventMutation
from schema.event_types import EventTypeQuery
from schema.events import EventSubscription
from schema.explanations import ExplanationQuery
from schema.exports import ExportMutation, ExportQuery
from schema.import_events import ImportEventSubscription
from schema.import_mutations import ImportMutation
from schema.imports import ImportQuery
from schema.keys import KeyMutation, KeyQuery
from schema.label_removal import LabelRemovalMutation
from schema.label_usage import LabelUsageQuery
from schema.labels import LabelMutation, LabelQuery
from schema.node import NodeQuery
from schema.object_types import ObjectTypeMutation, ObjectTypeQuery
from schema.property_mutations import PropertyMutation
from schema.record_mutations import RecordMutation
from schema.record_queries import RecordQuery
from schema.report_mutations import ReportMutation
from schema.reports import ReportQuery
from schema.scalars import SCALARS
from schema.segment_events import SegmentEventSubscription
from schema.segment_mutations import SegmentMutation
from schema.segments import SegmentQuery
from schema.sync_events import SyncEventSubscription
from schema.sync_healing import SyncHealingMutation
from schema.sync_mutations import SyncMutation
from schema.sync_plans import SyncPlanMutation, SyncPlanQuery
from schema.sync_records import SyncRecordQuery
from schema.sync_status import SyncStatusSubscription
from schema.syncs import SyncQuery
from schema.troubles import TroubleMutation, TroubleQuery
from schema.undoing import UndoMutation
from schema.users import UserMutation, UserQuery
from schema.webhook_mutations import WebhookMutation
from schema.webhooks import WebhookQuery
from schema.workflow_enrolling import EnrollingMutation
from schema.workflow_exchange import WorkflowExchangeMutation, WorkflowExchangeQuery
from schema.workflow_explanations import WorkflowExplanationQuery
from schema.workflow_health import WorkflowHealthQuery
from schema.workflow_status import WorkflowStatusSubscription
from schema.workflows import WorkflowMutation, WorkflowQuery


@strawberry.type
class Query(
    AccountQuery,
    ConnectionQuery,
    ChangePageQuery,
    DryRunQuery,
    EnrollmentQuery,
    EventTypeQuery,
    ExplanationQuery,
    ExportQuery,
    ImportQuery,
    KeyQuery,
    LabelQuery,
    LabelUsageQuery,
    NodeQuery,
    ObjectTypeQuery,
    RecordQuery,
    ReportQuery,
    SegmentQuery,
    SyncPlanQuery,
    SyncQuery,
    SyncRecordQuery,
    TroubleQuery,
    UserQuery,
    WebhookQuery,
    WorkflowExchangeQuery,
    WorkflowExplanationQuery,
    WorkflowHealthQuery,
    WorkflowQuery,
):
    """Everything that can be read."""


@strawberry.type
class Mutation(
    AccountMutation,
    AssociationMutation,
    ConnectionMutation,
    EnrollingMutation,
    EnrollmentMutation,
    EventMutation,
    ExportMutation,
    ImportMutation,
    KeyMutation,
    LabelMutation,
    LabelRemovalMutation,
    ObjectTypeMutation,
    PropertyMutation,
    RecordMutation,
    ReportMutation,
    SegmentMutation,
    SyncHealingMutation,
    SyncMutation,
    SyncPlanMutation,
    TroubleMutation,
    UndoMutation,
    UserMutation,
    WebhookMutation,
    WorkflowExchangeMutation,
    WorkflowMutation,
):
    """Everything that can be done. The fields of one request are carried out one after the other."""


@strawberry.type
class Subscription(
    ChangeSubscription,
    EventSubscription,
    ImportEventSubscription,
    SegmentEventSubscription,
    SyncEventSubscription,
    SyncStatusSubscription,
    WorkflowStatusSubscription,
):
    """Everything that can be watched. Streams take the cursor of the last event that one has, and miss nothing."""


def build() -> strawberry.Schema:
    """The schema with all its descriptions."""
    made = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    document(made._schema)
    return made


STRAWBERRY = build()
# What operations are validated against and executed on.
SCHEMA: GraphQLSchema = STRAWBERRY._schema
# The schema in the schema definition language; committed as schema.graphql.
SDL: str = STRAWBERRY.as_str().rstrip() + "\n"
