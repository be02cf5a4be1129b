"""The network: backbones, adapters and heads as torch modules."""
