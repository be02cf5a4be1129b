"""Bundling: manifest, wrapper, card, bill of materials, signature and delivery."""
