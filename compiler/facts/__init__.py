"""Facts: backbones and data that a spec names, examined without torch."""
