"""Shared mathematics, each function with its source. Pure: data in, numbers out."""
