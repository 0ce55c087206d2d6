"""The version of dsel, in the one place that every room may read. pyproject.toml says the same; a test compares."""

VERSION = "0.1.0"
