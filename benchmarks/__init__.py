"""Measurements of Parley against the figures it promises; nothing here is imported by the product."""
