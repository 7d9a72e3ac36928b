"""What parts add to a class's logit, where they were found, and figures of both."""
