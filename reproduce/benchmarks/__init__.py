"""One file per kernel or loop, each against its peers."""
