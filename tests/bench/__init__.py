"""Canonical workloads."""
