"""The contract between the core and its plugins: pure types, no I/O."""
