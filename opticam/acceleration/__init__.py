"""What `optimize=` does: faster copies of a frozen network, each checked against the network it stands for."""
