"""What a call of the masking step costs on the host, before and beside any kernel."""
