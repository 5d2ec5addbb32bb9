"""Activities: what people did and have to do."""

from engine.standard.shapes import Group, StandardObject

_meeting = Group("meeting_information")
_task = Group("task_information")
_note = Group("note_information")
_email = Group("email_information")
_call = Group("call_information")

MEETINGS = StandardObject(
    "meetings",
    "Meeting",
    "Meetings",
    (
        _meeting.text("title", "Title", searchable=True),
        _meeting.text("body", "Description", "MULTI_LINE_TEXT"),
        _meeting.moment("start_at", "Start", searchable=True),
        _meeting.moment("end_at", "End"),
        _meeting.text("location", "Location"),
        _meeting.choice("outcome", "Outcome", "Scheduled", "Completed", "Rescheduled", "No show", "Canceled"),
    ),
    "ACTIVITY",
)

TASKS = StandardObject(
    "tasks",
    "Task",
    "Tasks",
    (
        _task.text("subject", "Title", searchable=True),
        _task.text("body", "Notes", "MULTI_LINE_TEXT"),
        _task.choice("type", "Type", "To do", "Call", "Email"),
        _task.choice("priority", "Priority", "None", "Low", "Medium", "High"),
        _task.choice(
            "status", "Status", "Not started", "In progress", "Waiting", "Completed", searchable=True
        ),
        _task.moment("due_at", "Due", searchable=True),
    ),
    "ACTIVITY",
)

NOTES = StandardObject(
    "notes",
    "Note",
    "Notes",
    (
        _note.text("body", "Note", "MULTI_LINE_TEXT"),
        _note.moment("noted_at", "Noted at", searchable=True),
    ),
    "ACTIVITY",
    display="body",
)

EMAILS = StandardObject(
    "emails",
    "Email",
    "Emails",
    (
        _email.text("subject", "Subject", searchable=True),
        _email.text("body", "Body", "MULTI_LINE_TEXT"),
        _email.text("from_address", "From", "EMAIL"),
        _email.text("to_address", "To"),
        _email.choice("direction", "Direction", "Incoming", "Outgoing"),
        _email.choice("status", "Status", "Draft", "Sent", "Bounced", "Failed", searchable=True),
        _email.moment("sent_at", "Sent at", searchable=True),
    ),
    "ACTIVITY",
)

CALLS = StandardObject(
    "calls",
    "Call",
    "Calls",
    (
        _call.text("title", "Title", searchable=True),
        _call.text("body", "Notes", "MULTI_LINE_TEXT"),
        _call.choice("direction", "Direction", "Incoming", "Outgoing"),
        _call.choice(
            "outcome", "Outcome", "Connected", "Busy", "No answer", "Left voicemail", "Wrong number"
        ),
        _call.number("duration_seconds", "Duration in seconds"),
        _call.choices("tracked_terms", "Tracked terms", "Price", "Competitor", "Contract", "Cancel"),
        _call.moment("called_at", "Called at", searchable=True),
    ),
    "ACTIVITY",
)

ACTIVITIES = (MEETINGS, TASKS, NOTES, EMAILS, CALLS)
