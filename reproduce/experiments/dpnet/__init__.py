"""DP-Net's tables and figures, one file each."""
