"""Contacts, companies, deals and tickets: what a CRM is about."""

from engine.standard.shapes import Group, StandardObject

INDUSTRIES = (
    "Agriculture",
    "Automotive",
    "Banking",
    "Biotechnology",
    "Construction",
    "Consulting",
    "Consumer goods",
    "Education",
    "Energy",
    "Food production",
    "Government",
    "Health care",
    "Hospitality",
    "Insurance",
    "Logistics",
    "Manufacturing",
    "Media",
    "Nonprofit",
    "Pharmaceuticals",
    "Professional services",
    "Real estate",
    "Retail",
    "Software",
    "Telecommunications",
    "Travel",
    "Utilities",
    "Other",
)

SOURCES = (
    "Organic search",
    "Paid search",
    "Email marketing",
    "Social media",
    "Referrals",
    "Direct traffic",
    "Events",
    "Offline sources",
)

LIFECYCLE = (
    "Subscriber",
    "Lead",
    "Marketing qualified lead",
    "Sales qualified lead",
    "Opportunity",
    "Customer",
    "Evangelist",
    "Other",
)

_person = Group("contact_information")
_address = Group("address")
_sales = Group("sales")
_marketing = Group("marketing")
_company = Group("company_information")
_deal = Group("deal_information")
_ticket = Group("ticket_information")

CONTACTS = StandardObject(
    "contacts",
    "Contact",
    "Contacts",
    (
        _person.text("firstname", "First name", searchable=True),
        _person.text("lastname", "Last name", searchable=True),
        _person.text("email", "Email", "EMAIL", unique=True, searchable=True),
        _person.phone("phone", "Phone number", searchable=True),
        _person.phone("mobilephone", "Mobile phone number"),
        _person.text("jobtitle", "Job title", searchable=True),
        _person.text("salutation", "Salutation"),
        _person.date("date_of_birth", "Date of birth"),
        _person.text("website", "Website URL", "URL"),
        _person.choice("preferred_language", "Preferred language", "de", "en", "es", "fr", "it", "ja", "pt"),
        _address.text("address", "Street address"),
        _address.text("zip", "Postal code"),
        _address.text("city", "City", searchable=True),
        _address.text("state", "State or region"),
        _address.text("country", "Country", searchable=True),
        _sales.choice("lifecyclestage", "Lifecycle stage", *LIFECYCLE, searchable=True),
        _sales.choice(
            "leadstatus",
            "Lead status",
            "New",
            "Open",
            "In progress",
            "Open deal",
            "Unqualified",
            "Attempted to contact",
            "Connected",
            "Bad timing",
            searchable=True,
        ),
        _sales.number("score", "Score", searchable=True),
        _sales.moment("last_contacted_at", "Last contacted"),
        _marketing.choice("original_source", "Original traffic source", *SOURCES, searchable=True),
        _marketing.flag("marketing_contact", "Marketing contact", searchable=True),
        _marketing.flag("unsubscribed", "Unsubscribed from all email"),
        _marketing.choices("interests", "Interests", "Product", "Pricing", "Events", "Research", "Support"),
        _person.text("notes", "Notes", "MULTI_LINE_TEXT"),
    ),
)

COMPANIES = StandardObject(
    "companies",
    "Company",
    "Companies",
    (
        _company.text("name", "Company name", searchable=True),
        # Not unique: subsidiaries and branches share a domain.
        _company.text("domain", "Company domain name", "DOMAIN", searchable=True),
        _company.choice("industry", "Industry", *INDUSTRIES, searchable=True),
        _company.choice(
            "type", "Type", "Prospect", "Customer", "Partner", "Reseller", "Vendor", "Other", searchable=True
        ),
        _company.text("description", "Description", "MULTI_LINE_TEXT"),
        _company.text("website", "Website URL", "URL"),
        _company.text("email", "Email", "EMAIL"),
        _company.phone("phone", "Phone number"),
        _company.number("annualrevenue", "Annual revenue", "CURRENCY", searchable=True),
        _company.number("numberofemployees", "Number of employees", searchable=True),
        _company.number("founded_year", "Year founded"),
        _company.flag("is_public", "Publicly traded"),
        _address.text("address", "Street address"),
        _address.text("zip", "Postal code"),
        _address.text("city", "City", searchable=True),
        _address.text("state", "State or region"),
        _address.text("country", "Country", searchable=True),
        _sales.choice("lifecyclestage", "Lifecycle stage", *LIFECYCLE, searchable=True),
        _marketing.choice("original_source", "Original traffic source", *SOURCES),
    ),
)

DEALS = StandardObject(
    "deals",
    "Deal",
    "Deals",
    (
        _deal.text("name", "Deal name", searchable=True),
        _deal.number("amount", "Amount", "CURRENCY", searchable=True),
        _deal.choice("currency", "Currency", "EUR", "USD", "GBP", "CHF", "JPY"),
        _deal.choice("pipeline", "Pipeline", "Sales", "Renewals", "Partners", searchable=True),
        _deal.choice(
            "stage",
            "Deal stage",
            "Appointment scheduled",
            "Qualified to buy",
            "Presentation scheduled",
            "Decision maker bought in",
            "Contract sent",
            "Closed won",
            "Closed lost",
            searchable=True,
        ),
        _deal.choice("type", "Deal type", "New business", "Existing business"),
        _deal.choice("priority", "Priority", "Low", "Medium", "High", searchable=True),
        _deal.number("probability", "Probability", "PERCENTAGE"),
        _deal.date("closedate", "Close date", searchable=True),
        _deal.text("description", "Description", "MULTI_LINE_TEXT"),
        _deal.text("closed_lost_reason", "Closed lost reason", "MULTI_LINE_TEXT"),
    ),
)

TICKETS = StandardObject(
    "tickets",
    "Ticket",
    "Tickets",
    (
        _ticket.text("subject", "Ticket name", searchable=True),
        _ticket.text("content", "Ticket description", "MULTI_LINE_TEXT"),
        _ticket.choice(
            "status",
            "Ticket status",
            "New",
            "Waiting on contact",
            "Waiting on us",
            "Closed",
            searchable=True,
        ),
        _ticket.choice("priority", "Priority", "Low", "Medium", "High", "Urgent", searchable=True),
        _ticket.choice(
            "category",
            "Category",
            "Product issue",
            "Billing issue",
            "Feature request",
            "General inquiry",
            searchable=True,
        ),
        _ticket.choice("source", "Source", "Chat", "Email", "Form", "Phone"),
        _ticket.text("resolution", "Resolution", "MULTI_LINE_TEXT"),
        _ticket.moment("first_reply_at", "First reply"),
        _ticket.moment("closed_at", "Closed", searchable=True),
    ),
)

CORE = (CONTACTS, COMPANIES, DEALS, TICKETS)
