"""Benchmarks of rate and speed; run each as a file."""
