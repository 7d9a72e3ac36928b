"""One file a published table or figure."""
