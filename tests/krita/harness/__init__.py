"""Tests use the real Krita of this machine as an artist does: with mouse and keyboard, on a screen of its own.

app: the Krita that runs. home: where it lives and what is installed there. screen: what it is seen and moved by.
"""
