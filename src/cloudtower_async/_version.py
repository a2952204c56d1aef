"""Version of the package. The build reads the version from this module."""

__version__ = "0.1.0"
