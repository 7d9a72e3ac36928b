"""One file a kernel or loop, each against its peers."""
