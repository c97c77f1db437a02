#!/usr/bin/env python3
"""GIMP starts this file, to ask for the procedures and to run one. What they do is in the folder beside it."""

import sys

from glazing.host import Gimp
from glazing.procedures import GlazePlugIn

Gimp.main(GlazePlugIn.__gtype__, sys.argv)
