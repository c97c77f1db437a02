"""Files made from code, each with known samples and with what must come back (docs/architecture.md says why)."""
