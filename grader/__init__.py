"""Everything that grades the assignment. README.md in this folder is the map."""

__version__ = "0.1.0"
