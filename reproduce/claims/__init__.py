"""The papers' claims: what they are, and the rule that judges them."""
