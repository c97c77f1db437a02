"""Does a cloak keep a mimic from a style? Generators are fine-tuned on pictures, cloaked or not, and judged."""
