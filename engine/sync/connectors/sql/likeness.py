"""What tables and columns of usual names are like: suggestions, which anybody may change."""

_OBJECT_TYPES = {
    **dict.fromkeys(("contact", "contacts", "people", "person", "persons"), "contacts"),
    **dict.fromkeys(
        ("company", "companies", "organisations", "organizations", "organisation", "organization"),
        "companies",
    ),
    **dict.fromkeys(("deal", "deals", "opportunity", "opportunities"), "deals"),
    **dict.fromkeys(("ticket", "tickets"), "tickets"),
    **dict.fromkeys(("product", "products"), "products"),
    **dict.fromkeys(("order", "orders"), "orders"),
    **dict.fromkeys(("invoice", "invoices"), "invoices"),
    **dict.fromkeys(("lead", "leads"), "leads"),
}
_ANY = {
    "phone": "phone",
    "phone_number": "phone",
    "website": "website",
    "address": "address",
    "street": "address",
    "zip": "zip",
    "postal_code": "zip",
    "postcode": "zip",
    "city": "city",
    "state": "state",
    "country": "country",
    "description": "description",
    "email": "email",
    "e_mail": "email",
    "mail": "email",
}
_ADDRESS = ("phone", "website", "address", "zip", "city", "state", "country", "email")
# {object type: {column: property}}; the first name of a column is the property's own.
_PROPERTIES: dict[str, dict[str, str]] = {
    "contacts": {name: to for name, to in _ANY.items() if to in _ADDRESS}
    | dict.fromkeys(("firstname", "first_name", "given_name", "forename"), "firstname")
    | dict.fromkeys(("lastname", "last_name", "family_name", "surname"), "lastname")
    | dict.fromkeys(("email_address",), "email")
    | dict.fromkeys(("mobilephone", "mobile_phone", "mobile"), "mobilephone")
    | dict.fromkeys(("jobtitle", "job_title"), "jobtitle")
    | {"salutation": "salutation", "date_of_birth": "date_of_birth", "birthday": "date_of_birth"},
    "companies": {name: to for name, to in _ANY.items() if to in (*_ADDRESS, "description")}
    | {"name": "name", "company_name": "name", "domain": "domain", "industry": "industry"}
    | dict.fromkeys(("numberofemployees", "number_of_employees", "employees"), "numberofemployees")
    | dict.fromkeys(("annualrevenue", "annual_revenue", "revenue"), "annualrevenue"),
    "deals": dict.fromkeys(("name", "title"), "name")
    | {"amount": "amount", "currency": "currency", "stage": "stage", "description": "description"}
    | dict.fromkeys(("closedate", "close_date"), "closedate"),
    "tickets": {"subject": "subject", "title": "subject"},
    "products": {"name": "name", "description": "description", "price": "price", "sku": "sku"},
}


def default_object_type(table: str) -> str | None:
    """The object type that a table of this name is like."""
    return _OBJECT_TYPES.get(table.lower())


def default_property(table: str, column: str) -> str | None:
    """The property that a column of this name is like."""
    return _PROPERTIES.get(default_object_type(table) or "", {}).get(column.lower())
