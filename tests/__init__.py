"""The tests; a package, so that they share references and golden files."""
