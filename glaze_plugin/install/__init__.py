"""Puts the add-ons into the painting programs of this user, takes them away, and looks whether they will be loaded.

common: what is the same for every program. krita, gimp: their folders and what else they ask for.
"""
