"""Selections: what a query wants of records, as pure data; folded into one statement that answers JSON text."""
