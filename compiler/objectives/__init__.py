"""Objectives of self-supervised stages, one module per word of `pretrain[…].objective`."""
