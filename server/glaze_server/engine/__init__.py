"""The engine: a picture and settings in, progress, previews and a cloaked picture out. Knows no sockets and no jobs."""
