"""The version, stated once, and the last release that changed a number."""

__version__ = "0.2.0"
NUMERICS = "0.2.0"  # model files record it, so that they reproduce byte for byte until a number changes
