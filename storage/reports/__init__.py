"""Reports as SQL: a bound definition becomes one statement that groups, counts and totals."""
