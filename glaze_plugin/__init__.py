"""The light client of Glaze plugin: what every front end imports.

Standard library only, `cli/` aside; Python 3.10 or newer.
"""

__version__ = "0.1.0"
