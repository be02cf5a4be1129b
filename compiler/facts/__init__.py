"""What a spec refers to: backbones and data, looked at without torch."""
