"""How the embedded encoder came to be: picture bank, distillation, measurement. Nothing here runs for an artist."""
