"""The report of an evaluation: JSON, tables for the terminal, predictions as CSV, Markdown, and a web page."""
