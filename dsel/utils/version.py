"""The version of dsel, where every package can read it. A test compares it with pyproject.toml."""

VERSION = "0.1.0"
