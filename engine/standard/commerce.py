"""Object types of selling and serving. Optional ones wait to be activated."""

from engine.standard.shapes import Group, StandardObject

_product = Group("product_information")
_line_item = Group("line_item_information")
_quote = Group("quote_information")
_subscription = Group("subscription_information")
_payment = Group("payment_information")
_invoice = Group("invoice_information")
_order = Group("order_information")
_lead = Group("lead_information")
_appointment = Group("appointment_information")
_listing = Group("listing_information")
_feedback = Group("feedback_information")
_conversation = Group("conversation_information")

CURRENCIES = ("EUR", "USD", "GBP", "CHF", "JPY")
FREQUENCIES = ("Monthly", "Quarterly", "Annually")

PRODUCTS = StandardObject(
    "products",
    "Product",
    "Products",
    (
        _product.text("name", "Name", searchable=True),
        _product.text("sku", "SKU", unique=True, searchable=True),
        _product.text("description", "Description", "MULTI_LINE_TEXT"),
        _product.number("price", "Unit price", "CURRENCY", searchable=True),
        _product.number("cost", "Unit cost", "CURRENCY"),
        _product.choice("billing_frequency", "Billing frequency", "One time", *FREQUENCIES),
        _product.text("url", "URL", "URL"),
    ),
)

LINE_ITEMS = StandardObject(
    "line_items",
    "Line item",
    "Line items",
    (
        _line_item.text("name", "Name", searchable=True),
        _line_item.number("quantity", "Quantity"),
        _line_item.number("price", "Unit price", "CURRENCY"),
        _line_item.number("discount", "Discount", "PERCENTAGE"),
        _line_item.number("amount", "Net price", "CURRENCY", searchable=True),
        _line_item.choice("billing_frequency", "Billing frequency", "One time", *FREQUENCIES),
    ),
)

QUOTES = StandardObject(
    "quotes",
    "Quote",
    "Quotes",
    (
        _quote.text("title", "Quote title", searchable=True),
        _quote.text("number", "Quote number", unique=True, searchable=True),
        _quote.number("amount", "Amount", "CURRENCY", searchable=True),
        _quote.choice("currency", "Currency", *CURRENCIES),
        _quote.choice(
            "status",
            "Status",
            "Draft",
            "Pending approval",
            "Approved",
            "Shared",
            "Signed",
            "Rejected",
            searchable=True,
        ),
        _quote.date("expiration_date", "Expiration date", searchable=True),
    ),
)

SUBSCRIPTIONS = StandardObject(
    "subscriptions",
    "Subscription",
    "Subscriptions",
    (
        _subscription.text("name", "Name", searchable=True),
        _subscription.choice(
            "status", "Status", "Scheduled", "Active", "Past due", "Paused", "Canceled", searchable=True
        ),
        _subscription.choice("billing_frequency", "Billing frequency", *FREQUENCIES),
        _subscription.number("recurring_revenue", "Recurring revenue", "CURRENCY", searchable=True),
        _subscription.date("start_date", "Start date"),
        _subscription.date("next_payment_date", "Next payment date", searchable=True),
    ),
)

PAYMENTS = StandardObject(
    "payments",
    "Payment",
    "Payments",
    (
        _payment.text("reference", "Reference", unique=True, searchable=True),
        _payment.number("amount", "Amount", "CURRENCY", searchable=True),
        _payment.choice("currency", "Currency", *CURRENCIES),
        _payment.choice("method", "Method", "Card", "Bank transfer", "Direct debit", "Cash"),
        _payment.choice("status", "Status", "Processing", "Succeeded", "Failed", "Refunded", searchable=True),
        _payment.moment("paid_at", "Paid at", searchable=True),
    ),
    display="reference",
)

INVOICES = StandardObject(
    "invoices",
    "Invoice",
    "Invoices",
    (
        _invoice.text("number", "Invoice number", unique=True, searchable=True),
        _invoice.number("amount", "Amount billed", "CURRENCY", searchable=True),
        _invoice.number("balance", "Balance due", "CURRENCY"),
        _invoice.choice("currency", "Currency", *CURRENCIES),
        _invoice.choice("status", "Status", "Draft", "Open", "Paid", "Voided", searchable=True),
        _invoice.date("invoice_date", "Invoice date"),
        _invoice.date("due_date", "Due date", searchable=True),
    ),
    display="number",
)

ORDERS = StandardObject(
    "orders",
    "Order",
    "Orders",
    (
        _order.text("name", "Order name", searchable=True),
        _order.text("number", "Order number", unique=True, searchable=True),
        _order.number("amount", "Total", "CURRENCY", searchable=True),
        _order.choice("currency", "Currency", *CURRENCIES),
        _order.choice(
            "status", "Status", "Open", "Processing", "Shipped", "Delivered", "Canceled", searchable=True
        ),
        _order.moment("ordered_at", "Ordered at"),
    ),
)

LEADS = StandardObject(
    "leads",
    "Lead",
    "Leads",
    (
        _lead.text("name", "Lead name", searchable=True),
        _lead.text("firstname", "First name"),
        _lead.text("lastname", "Last name"),
        _lead.text("email", "Email", "EMAIL", searchable=True),
        _lead.choice("type", "Lead type", "New business", "Upsell", "Re-attempting"),
        _lead.choice("label", "Lead label", "Hot", "Warm", "Cold", searchable=True),
        _lead.choice(
            "stage", "Stage", "New", "Attempting", "Connected", "Qualified", "Disqualified", searchable=True
        ),
    ),
    active=False,
    display="name",
)

APPOINTMENTS = StandardObject(
    "appointments",
    "Appointment",
    "Appointments",
    (
        _appointment.text("name", "Appointment name", searchable=True),
        _appointment.moment("start_at", "Start", searchable=True),
        _appointment.moment("end_at", "End"),
        _appointment.choice(
            "status", "Status", "Scheduled", "Completed", "Canceled", "No show", searchable=True
        ),
        _appointment.text("location", "Location"),
    ),
    active=False,
)

LISTINGS = StandardObject(
    "listings",
    "Listing",
    "Listings",
    (
        _listing.text("name", "Listing name", searchable=True),
        _listing.choice("type", "Listing type", "House", "Apartment", "Office", "Retail space", "Land"),
        _listing.choice("term", "Term", "Short-term", "Long-term", "Sale", searchable=True),
        _listing.number("price", "Price", "CURRENCY", searchable=True),
        _listing.number("bedrooms", "Bedrooms"),
        _listing.number("square_meters", "Square meters"),
        _listing.text("address", "Street address"),
        _listing.text("city", "City", searchable=True),
        _listing.text("country", "Country"),
        _listing.choice("status", "Status", "Active", "Under offer", "Closed", "Withdrawn", searchable=True),
    ),
    active=False,
)

FEEDBACK_SUBMISSIONS = StandardObject(
    "feedback_submissions",
    "Feedback submission",
    "Feedback submissions",
    (
        _feedback.text("name", "Survey name", searchable=True),
        _feedback.choice("survey_type", "Survey type", "NPS", "CSAT", "CES", "Custom", searchable=True),
        _feedback.number("rating", "Rating", searchable=True),
        _feedback.choice("sentiment", "Sentiment", "Negative", "Neutral", "Positive", searchable=True),
        _feedback.text("response", "Response", "MULTI_LINE_TEXT"),
        _feedback.moment("submitted_at", "Submitted at", searchable=True),
    ),
)

CONVERSATIONS = StandardObject(
    "conversations",
    "Conversation",
    "Conversations",
    (
        _conversation.text("subject", "Subject", searchable=True),
        _conversation.choice("channel", "Channel", "Chat", "Email", "Form", "Phone", "Messenger"),
        _conversation.choice("status", "Status", "Open", "Closed", searchable=True),
        _conversation.moment("last_message_at", "Last message", searchable=True),
    ),
)

COMMERCE = (
    PRODUCTS,
    LINE_ITEMS,
    QUOTES,
    SUBSCRIPTIONS,
    PAYMENTS,
    INVOICES,
    ORDERS,
    LEADS,
    APPOINTMENTS,
    LISTINGS,
    FEEDBACK_SUBMISSIONS,
    CONVERSATIONS,
)
