"""The words for having no answer; where they stand they cost nothing to know."""

PROBLEMS = (
    "dns", "refused", "no_connection", "tls", "certificate",
    "no_answer", "unfinished", "cut_off", "not_http", "redirects",
)  # fmt: skip
"""In the order of the steps at which they come."""
