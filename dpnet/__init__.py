"""Learn discriminative parts on a frozen network and explain by them (DP-Net, ICIP 2023)."""
