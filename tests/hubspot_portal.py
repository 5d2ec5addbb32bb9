"""An account of the stand-in for HubSpot, as one comes: standard objects, an object of its own, labels."""

from tests.hubspot_standin import Kind, Portal, Property

CARS = "p8000008_cars"
STAGES = ("appointmentscheduled", "qualifiedtobuy", "closedwon", "closedlost")
LIFECYCLE = ("subscriber", "lead", "customer", "other")


def portal() -> Portal:
    """A new account, without items."""
    made = Portal()
    made.define(Kind("contacts", "0-1", named(*CONTACT)))
    made.define(Kind("companies", "0-2", named(*COMPANY)))
    made.define(Kind("deals", "0-3", named(*DEAL), ("dealname", "dealstage"), {"default": STAGES}))
    made.define(
        Kind("tickets", "0-5", named(*TICKET), ("subject", "hs_pipeline_stage"), {"0": ("1", "2", "4")})
    )
    made.define(Kind(CARS, "2-3456", named(*CAR), ("vin",)))
    for one, other, ids, primary in (
        ("contacts", "companies", (279, 280), (1, 2)),
        ("deals", "companies", (341, 342), (5, 6)),
        ("tickets", "companies", (339, 340), (26, 25)),
        (CARS, "companies", (51, 52), (53, 54)),
    ):
        made.pair(one, other, ids)
        made.pair(one, other, primary, ("Primary", "Primary"))
    for one, other, ids in (
        ("contacts", "deals", (4, 3)),
        ("contacts", "tickets", (15, 16)),
        ("deals", "tickets", (27, 28)),
        ("contacts", "contacts", (449, 449)),
        ("companies", "companies", (450, 450)),
        (CARS, "contacts", (55, 56)),
    ):
        made.pair(one, other, ids)
    made.pair("companies", "companies", (13, 14), ("Parent Company", "Child Company"))
    made.pair("contacts", "companies", (1, 3), ("Billing contact", "Billing contact"), "USER_DEFINED")
    made.pair("contacts", "companies", (5, 7), ("Works for", "Employs"), "USER_DEFINED")
    made.pair("contacts", "contacts", (9, 11), ("Manager", "Employee"), "USER_DEFINED")
    made.pair("contacts", "contacts", (13, 13), ("Colleague", "Colleague"), "USER_DEFINED")
    made.pair(CARS, "contacts", (21, 23), ("Owner", "Owns"), "USER_DEFINED", most=(1, None))
    made.pair("contacts", "companies", (31, 33), ("By another app", "By another app"), "INTEGRATOR_DEFINED")
    return made


def named(*properties: Property) -> dict[str, Property]:
    """Properties by name."""
    return {each.name: Property(**vars(each)) for each in properties}


CONTACT = (
    Property("email"),
    Property("hs_additional_emails", "enumeration", "checkbox", read_only=True, hidden=True),
    Property("firstname"),
    Property("lastname"),
    Property("jobtitle"),
    Property("phone", "string", "phonenumber"),
    Property("website"),
    Property("lifecyclestage", "enumeration", "radio", LIFECYCLE),
    Property("hubspot_owner_id", "enumeration", "select", external_options=True),
    Property("num_associated_deals", "number", "number", calculated=True),
    Property("member_no", unique=True),
    Property("interests", "enumeration", "checkbox", ("product", "pricing", "events")),
    Property("newsletter", "bool", "booleancheckbox", ("true", "false")),
    Property("vip", "enumeration", "booleancheckbox", ("true", "false")),
    Property("score", "number", "number"),
    Property("birthday", "date", "date"),
    Property("met_at", "datetime", "date"),
)
COMPANY = (
    Property("name"),
    Property("domain"),
    Property("description", "string", "textarea"),
    Property("annualrevenue", "number", "number"),
    Property("lifecyclestage", "enumeration", "radio", LIFECYCLE),
)
DEAL = (
    Property("dealname"),
    Property("amount", "number", "number"),
    Property("closedate", "datetime", "date"),
    Property("pipeline", "enumeration", "select", ("default",), external_options=True),
    Property("dealstage", "enumeration", "radio", STAGES, external_options=True),
)
TICKET = (
    Property("subject"),
    Property("content", "string", "textarea"),
    Property("hs_pipeline", "enumeration", "select", ("0",), external_options=True),
    Property("hs_pipeline_stage", "enumeration", "radio", ("1", "2", "4"), external_options=True),
)
CAR = (
    Property("vin", unique=True),
    Property("model"),
    Property("seats", "number", "number"),
    # Keys of creations, for those who want no creation ever to be made twice.
    Property("relata_key", unique=True),
)
