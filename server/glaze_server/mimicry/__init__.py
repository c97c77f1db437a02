"""Does a cloak keep a mimic from an artist's style? Generators are fine-tuned on pictures, cloaked or not, and judged."""
